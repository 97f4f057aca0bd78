package main

import (
	"context"
	"reflect"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newReset() *cobra.Command {
	return &cobra.Command{
		Use:   "reset NAME",
		Short: "Make an event unset, a broken barrier whole, or a damaged object usable",
		Long: `Make an event unset: whoever comes waits until it is set again.

Or begin a barrier anew, as if nobody had arrived: a broken one is whole again, and
whoever waits at it is told that it broke. A warning names the process whose death had
broken it.

Or, of an object of another kind, put right what is damaged, so that it is no longer
CORRUPT: the same as fsck --repair, which says what was wrong, and what it cost.`,
		Example: `shmd create ready event --set
shmd reset ready
shmd create phase barrier --parties 2
shmd abort phase
shmd reset phase
shmd create jobs/todo queue
shmd reset jobs/todo`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			plainly := false
			err = a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var s wire.Stat
				if err := c.Call(ctx, wire.MethodStat, &s, ref); err != nil {
					return on(args[0], err)
				}
				if plainly = s.Kind == wire.KindEvent || s.Kind == wire.KindBarrier; plainly {
					return nil
				}
				return a.fsck(ctx, c, args, true)
			})
			if err != nil || !plainly {
				return err
			}
			return a.withKind(cmd, []string{wire.KindEvent, wire.KindBarrier}, args[0],
				func(ctx context.Context, o *openObject) error {
					if o.info.Kind == wire.KindEvent {
						return a.change(ctx, o, wire.MethodReset, "set", false)
					}
					return a.resetBarrier(ctx, o)
				})
		},
	}
}

func (a *app) resetBarrier(ctx context.Context, o *openObject) error {
	var n *wire.Notice
	if err := o.call(ctx, wire.MethodReset, &n); err != nil {
		return err
	}
	if a.json {
		return a.emit(append(o.head(), entry{"reset", true}, entry{"died", plain(reflect.ValueOf(n))}))
	}
	if n != nil {
		a.warn("reset %q: it was broken by the death of process %d (uid %d), at %s", o.name, n.PID, n.UID,
			timeText(n.DiedNS))
	}
	return nil
}

func (a *app) newAbort() *cobra.Command {
	return &cobra.Command{
		Use:   "abort NAME",
		Short: "Break a barrier",
		Long: `Break a barrier: whoever waits at it, and whoever comes, is told so at once, until it is
reset. Twice is as good as once.`,
		Example: `shmd create phase barrier --parties 2
shmd abort phase
shmd stat phase`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindBarrier),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindBarrier}, args[0], func(ctx context.Context, o *openObject) error {
				return a.change(ctx, o, wire.MethodAbort, "broken", true)
			})
		},
	}
}
