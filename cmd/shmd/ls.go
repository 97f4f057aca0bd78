package main

import (
	"context"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newLs() *cobra.Command {
	var long bool
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List objects",
		Long: `List the objects that have a name, whoever made them, sorted by name; with PREFIX
those whose name begins with it.

TYPE is the type code, or the content of a queue. SHAPE are the dimensions of an array,
how many messages a queue holds at most, or the parties of a barrier. LOCK says what
guards the data: own, none, or the id of the mutex, which a condition has too; for other
kinds it shows the flags. SIZE is the memory of the whole object in bytes, MODE who may
read and write it, OWNER the user id of its creator.`,
		Example: `shmd create jobs/lock mutex --recursive
shmd create jobs/done value --code Q
shmd create grid array --code d --shape 3x4
shmd create jobs/todo queue
shmd ls
shmd ls jobs/
shmd ls --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) > 0 {
				prefix = args[0]
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				return a.list(ctx, c, prefix, long)
			})
		},
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "show id, group, seats and time of creation too")
	return cmd
}

func (a *app) list(ctx context.Context, c *shmd.Client, prefix string, long bool) error {
	if a.json {
		return eachObject(ctx, c, prefix, func(o shmd.Info) error { return a.emit(documentOf(o)) })
	}
	header := []string{"NAME", "KIND", "TYPE", "SHAPE", "LOCK", "SIZE", "MODE", "OWNER", "LIFETIME"}
	if long {
		header = append(header, "ID", "GROUP", "SEATS", "CREATED")
	}
	t := a.newTable(header...)
	err := eachObject(ctx, c, prefix, func(o shmd.Info) error {
		row := []string{nameText(&o), o.Kind, typeText(&o), extentText(&o), lockText(&o), decimal(o.SegmentSize),
			modeText(o.Mode), decimal(o.UID), o.Lifetime}
		if long {
			row = append(row, decimal(o.ID), decimal(o.GID), decimal(o.SeatsMax), timeText(o.CreatedNS))
		}
		t.row(row...)
		return nil
	})
	if err != nil {
		return err
	}
	return t.flush()
}

// eachObject calls f for every object, page after page.
func eachObject(ctx context.Context, c *shmd.Client, prefix string, f func(shmd.Info) error) error {
	for after := ""; ; {
		var page wire.ListResult
		if err := c.Call(ctx, wire.MethodList, &page, prefix, after); err != nil {
			return err
		}
		for _, o := range page.Objects {
			if err := f(o); err != nil {
				return err
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}
