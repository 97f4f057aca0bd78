package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newRm() *cobra.Command {
	var destroy bool
	cmd := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove objects",
		Long: `Remove the names of objects. Whoever has an object open goes on using it, waits
included, and its memory goes with the last of them; a new object of that name is
another object. This is safe at any time, as with files.

--destroy removes the object for everybody: whoever waits, and every later call,
is told that it was destroyed.

All names are tried; the exit status is that of the first that failed.`,
		Example: `shmd create a mutex
shmd create b mutex
shmd rm a
shmd rm --destroy b`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			method := wire.MethodUnlink
			if destroy {
				method = wire.MethodDestroy
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				var all []error
				for _, name := range args {
					all = append(all, a.remove(ctx, c, method, name))
				}
				return errors.Join(all...)
			})
		},
	}
	cmd.Flags().BoolVar(&destroy, "destroy", false, "remove the object for those who use it, too")
	return cmd
}

func (a *app) remove(ctx context.Context, c *shmd.Client, method, name string) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	if err := c.Call(ctx, method, nil, ref); err != nil {
		return on(name, err)
	}
	if !a.json {
		return nil
	}
	return a.emit(document{{"removed", name}, {"destroyed", method == wire.MethodDestroy}})
}
