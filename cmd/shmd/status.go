package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the daemon is doing",
		Long: `Show the daemon's counters: objects and the memory they take of the budget, clients,
calls that wait, deaths of clients, and recoveries of what the dead held.

It fails if no daemon listens: use it to find out whether one runs.`,
		Example: `shmd status
shmd status --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var s wire.Status
				if err := c.Call(ctx, wire.MethodStatus, &s); err != nil {
					return err
				}
				if a.json {
					return a.emit(documentOf(s))
				}
				return a.showStatus(&s)
			})
		},
	}
}

func (a *app) showStatus(s *wire.Status) error {
	t := a.newTable()
	t.row("server:", s.Server)
	t.row("process:", decimal(s.PID))
	t.row("epoch:", decimal(s.Epoch))
	t.row("up:", time.Duration(s.UptimeNS).Round(time.Second).String())
	t.row("objects:", decimal(s.Objects))
	t.row("memory:", decimal(s.Bytes)+" of "+plural(s.BudgetBytes, "byte"))
	t.row("clients:", decimal(s.Clients)+", "+plural(s.Zombies, "zombie"))
	t.row("waiting:", plural(s.Waiting, "call"))
	t.row("deaths:", decimal(s.Deaths))
	recoveries := decimal(s.Recoveries)
	if s.LastRecoveryNS > 0 {
		recoveries += ", the last in " + time.Duration(s.LastRecoveryNS).String()
	}
	t.row("recoveries:", recoveries)
	return t.flush()
}
