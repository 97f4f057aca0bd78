package main

import (
	"context"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newClients() *cobra.Command {
	return &cobra.Command{
		Use:   "clients",
		Short: "List the processes that are connected",
		Long: `List the clients of the daemon: one line for each connection of a process, this
command's own among them.

OBJECTS is how many objects a client has open, MAPPED how many of these it has in its
own memory. A zombie has closed its connection, but runs on with objects mapped: what it
holds is given back when it ends, not before.`,
		Example: `shmd clients
shmd clients --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var all wire.List[wire.ClientInfo]
				if err := c.Call(ctx, wire.MethodClients, &all); err != nil {
					return err
				}
				return a.showClients(all)
			})
		},
	}
}

func (a *app) showClients(all []wire.ClientInfo) error {
	if a.json {
		for _, c := range all {
			if err := a.emit(documentOf(c)); err != nil {
				return err
			}
		}
		return nil
	}
	t := a.newTable("CLIENT", "PID", "UID", "GID", "OBJECTS", "MAPPED", "STATE", "SOFTWARE")
	for _, c := range all {
		state := ""
		if c.Zombie {
			state = "zombie"
		}
		t.row(decimal(c.Client), decimal(c.PID), decimal(c.UID), decimal(c.GID), decimal(c.Objects), decimal(c.Mapped),
			orDash(state), orDash(c.Software))
	}
	return t.flush()
}
