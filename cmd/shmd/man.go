package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) newGenMan() *cobra.Command {
	return &cobra.Command{
		Use:    "gen-man DIR",
		Short:  "Write the manual pages",
		Long:   `Write the manual pages of all commands into DIR. The same build writes the same bytes.`,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range manPages(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manPages are the manual pages by file name: one for the program, one for each
// of its own commands. The texts are those of --help; there is no date in them.
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{"shmd.1": manPage(root)}
	for _, c := range root.Commands() {
		if isOwn(c) {
			pages[manName(c)+".1"] = manPage(c)
		}
	}
	return pages
}

// isOwn leaves out what cobra adds by itself, and what is hidden.
func isOwn(c *cobra.Command) bool {
	return c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion"
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func manPage(c *cobra.Command) string {
	var p roff
	p.raw(`.TH "%s" 1 "" "shmd" "User Commands"`, strings.ToUpper(manName(c)))
	p.section("NAME")
	p.raw(`%s \- %s`, escape(manName(c)), escape(c.Short))
	p.section("SYNOPSIS")
	use := c.UseLine()
	if c.HasAvailableSubCommands() {
		use = "shmd [--socket PATH] [--json] COMMAND [ARGS...]"
	}
	p.raw(".nf\n%s\n.fi", escape(use))
	p.section("DESCRIPTION")
	p.text(c.Long)
	if c.HasAvailableSubCommands() {
		p.section("COMMANDS")
		for _, sub := range c.Commands() {
			if isOwn(sub) {
				p.item(manName(sub)+"(1)", sub.Short)
			}
		}
	}
	c.InitDefaultHelpFlag() // otherwise there only if the command ran
	p.block("OPTIONS", c.NonInheritedFlags().FlagUsages())
	p.block("GLOBAL OPTIONS", c.InheritedFlags().FlagUsages())
	p.block("CONFIGURATION FILE", c.Annotations[sectionFile])
	p.block("ENVIRONMENT", c.Annotations[sectionEnvironment])
	p.block("EXIT STATUS", c.Annotations[sectionExit])
	p.block("EXAMPLES", c.Example)
	p.section("SEE ALSO")
	if c.HasParent() {
		p.raw(".BR shmd (1)")
	} else {
		p.raw("Shell completion: shmd completion \\-\\-help")
	}
	return p.String()
}

// roff is a page in the making.
type roff struct{ strings.Builder }

func (p *roff) raw(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *roff) section(title string) { p.raw(".SH %s", title) }

// text writes paragraphs; an indented one is kept as it is.
func (p *roff) text(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.raw(".PP")
		}
		if strings.HasPrefix(paragraph, "  ") {
			p.raw(".nf\n%s\n.fi", escape(paragraph))
			continue
		}
		p.raw("%s", escape(paragraph))
	}
}

// block is a section whose lines are kept as they are.
func (p *roff) block(title, text string) {
	if text = strings.TrimRight(text, "\n"); text != "" {
		p.section(title)
		p.raw(".nf\n%s\n.fi", escape(text))
	}
}

func (p *roff) item(term, text string) {
	p.raw(".TP\n\\fB%s\\fR\n%s", escape(term), escape(text))
}

// escape makes text literal: hyphens that can be pasted, backslashes, and no
// line that begins like a request.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
