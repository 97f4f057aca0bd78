package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/wire"
)

func (a *app) newShutdown() *cobra.Command {
	return &cobra.Command{
		Use:   "shutdown NAME",
		Short: "End a queue: no more messages go in",
		Long: `End a queue for ever. Whoever puts a message, or waits to, is told that the queue was
shut down; what is in it can still be taken. When nothing is ready any more, takers are
told as well, so that workers (shmd take --follow) come to their end. A message that is
leased then and comes back can be taken again. Twice is as good as once.

The daemon goes on; SIGTERM ends it.`,
		Example: `shmd create jobs/todo queue
shmd put jobs/todo 1 2 3
shmd shutdown jobs/todo
shmd take jobs/todo --follow`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindQueue),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindQueue}, args[0], func(ctx context.Context, o *openObject) error {
				if err := o.call(ctx, wire.MethodShutdown, nil); err != nil || !a.json {
					return err
				}
				return a.emit(append(o.head(), entry{"shutdown", true}))
			})
		},
	}
}

func (a *app) newRedeliver() *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver NAME",
		Short: "Make the dead letters of a queue messages again",
		Long: `Make all dead letters of a queue messages again, and print how many they were. Their
deliveries are counted anew.

A message becomes a dead letter when it was delivered as often as --deliveries-max of
create says, and never acknowledged. shmd take --dead takes them out instead.`,
		Example: `shmd create jobs/todo queue --deliveries-max 1
shmd put jobs/todo 1
shmd redeliver jobs/todo
shmd redeliver jobs/todo --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindQueue),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindQueue}, args[0], func(ctx context.Context, o *openObject) error {
				var n uint64
				if err := o.call(ctx, wire.MethodRedeliver, &n); err != nil {
					return err
				}
				if a.json {
					return a.emit(append(o.head(), entry{"redelivered", n}))
				}
				return a.printf("%d\n", n)
			})
		},
	}
}

func (a *app) newJoin() *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:   "join NAME",
		Short: "Wait until all messages of a queue are done",
		Long: `Wait until no message of a queue is left and none is leased: until all that was put is
taken, acknowledged, or a dead letter. More may be put at any time.`,
		Example: `shmd create jobs/todo queue
shmd put jobs/todo 1 2
shmd take jobs/todo -n 2
shmd join jobs/todo --timeout 5s`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindQueue),
		Annotations: map[string]string{sectionExit: `0    success
1    failure; the message says which
2    wrong usage: an unknown flag, a missing argument
75   something is to be done still: would block (--nonblock), or timed out (--timeout)`},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindQueue}, args[0], func(ctx context.Context, o *openObject) error {
				if err := o.call(ctx, wire.MethodJoin, nil, wait.nanoseconds(cmd)); err != nil || !a.json {
					return err
				}
				return a.emit(o.head())
			})
		},
	}
	wait.register(cmd, "")
	return cmd
}
