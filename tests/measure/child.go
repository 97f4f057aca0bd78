package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Child is a process that is spoken to in lines.
type Child struct {
	Cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

// stderrDelay bounds the wait for the end of what a dead process's own children still hold open.
const stderrDelay = 2 * time.Second

// Command is a program to be started.
type Command struct {
	Path string
	Args []string
	// CPUs are the processors that it may run on; none = all that this process may.
	CPUs   []int
	Env    []string  // NAME=VALUE, beside those of this process
	Stderr io.Writer // nil = that of this process
}

// Start runs a program until Stop, Kill or the end of ctx.
func Start(ctx context.Context, path string, args ...string) (*Child, error) {
	return Command{Path: path, Args: args}.Start(ctx)
}

// Start runs the program until Stop, Kill or the end of ctx.
func (c Command) Start(ctx context.Context) (*Child, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stderr = os.Stderr
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
		cmd.WaitDelay = stderrDelay
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := onProcessors(c.CPUs, cmd.Start); err != nil {
		return nil, err
	}
	return &Child{cmd, stdin, bufio.NewReader(stdout)}, nil
}

// Built is something that make builds, below the directory that a variable names.
func Built(variable, fallback string, elem ...string) (string, error) {
	root := os.Getenv(variable)
	if root == "" {
		root = fallback
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run it by `make bench`, or `make build` first", err)
	}
	return path, nil
}

// Send writes a line.
func (c *Child) Send(format string, args ...any) error {
	_, err := fmt.Fprintf(c.stdin, format+"\n", args...)
	return err
}

// Line reads a line.
func (c *Child) Line() (string, error) {
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended early: %w", c.Cmd, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// Expect reads a line that must be the given one.
func (c *Child) Expect(want string) error {
	got, err := c.Line()
	if err == nil && got != want {
		err = fmt.Errorf("%s said %q instead of %q", c.Cmd, got, want)
	}
	return err
}

// Do sends a command and waits for "done".
func (c *Child) Do(format string, args ...any) error {
	if err := c.Send(format, args...); err != nil {
		return err
	}
	return c.Expect("done")
}

// Ask sends a command and reads the line that comes back.
func (c *Child) Ask(format string, args ...any) (string, error) {
	if err := c.Send(format, args...); err != nil {
		return "", err
	}
	return c.Line()
}

// Number sends a command and reads the number that comes back.
func (c *Child) Number(format string, args ...any) (float64, error) {
	line, err := c.Ask(format, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(line, 64)
}

// End ends its input; may be called again.
func (c *Child) End() error {
	if err := c.stdin.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Stop ends its input and waits for it.
func (c *Child) Stop() error {
	return errors.Join(c.End(), c.Cmd.Wait())
}

// Kill kills it and waits until it is gone; how it ended is known.
func (c *Child) Kill() {
	_ = c.Cmd.Process.Kill()
	_ = c.Cmd.Wait()
}

// Serve is a child's side: it answers commands, a name and at most one number,
// until its input ends.
func Serve(answer func(command string, n int) (string, error)) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, number, _ := strings.Cut(in.Text(), " ")
		n := 0
		if number != "" {
			var err error
			if n, err = strconv.Atoi(number); err != nil {
				return err
			}
		}
		reply, err := answer(command, n)
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		if _, err := fmt.Println(reply); err != nil {
			return err
		}
	}
	return in.Err()
}
