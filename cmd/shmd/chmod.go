package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

func (a *app) newChmod() *cobra.Command {
	return &cobra.Command{
		Use:   "chmod MODE NAME...",
		Short: "Set who may read and write objects",
		Long: `Set the mode of objects: read and write for owner, group and others, octal as for files,
such as 0640. It holds for whoever opens them from now on; who has one open goes on.
Only the owner and root may.

All names are tried; the exit status is that of the first that failed.`,
		Example: `shmd create shared value --code i
shmd chmod 0644 shared`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeBehind,
		RunE: func(cmd *cobra.Command, args []string) error {
			var mode modeFlag
			if err := mode.Set(args[0]); err != nil {
				return usage("%w", err)
			}
			return a.forEach(cmd, args[1:], document{{"mode", mode.String()}}, wire.MethodChmod, uint32(mode))
		},
	}
}

func (a *app) newChown() *cobra.Command {
	return &cobra.Command{
		Use:   "chown USER[:GROUP]|:GROUP NAME...",
		Short: "Give objects another owner or group",
		Long: `Give objects another owner, another group, or both, by name or number. The new owner is
charged for them. As of files, only root gives to another user, and an owner to a group
that he is of. Who has one open goes on.

All names are tried; the exit status is that of the first that failed.`,
		Example: `shmd create shared value --code i
shmd chown root:root shared
shmd chown :0 shared`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeBehind,
		RunE: func(cmd *cobra.Command, args []string) error {
			uid, gid, err := parseOwner(args[0])
			if err != nil {
				return usage("%w", err)
			}
			return a.forEach(cmd, args[1:], document{{"owner", args[0]}}, wire.MethodChown, uid, gid)
		},
	}
}

// parseOwner reads USER, USER:GROUP or :GROUP; -1 is what is not said.
func parseOwner(text string) (uid, gid int64, err error) {
	if group, alone := strings.CutPrefix(text, ":"); alone {
		id, err := groupID(group)
		return -1, int64(id), err
	}
	var owner ownerFlag
	if err := owner.Set(text); err != nil {
		return 0, 0, err
	}
	uid, gid = int64(*owner.uid), -1
	if owner.gid != nil {
		gid = int64(*owner.gid)
	}
	return uid, gid, nil
}

// forEach makes a call for each object; what is done is told with --json.
func (a *app) forEach(cmd *cobra.Command, names []string, done document, method string, params ...any) error {
	return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
		var all []error
		for _, name := range names {
			ref, err := parseRef(name)
			if err == nil {
				err = on(name, c.Call(ctx, method, nil, append([]any{ref}, params...)...))
			}
			if err == nil && a.json {
				err = a.emit(append(document{{"name", name}}, done...))
			}
			all = append(all, err)
		}
		return errors.Join(all...)
	})
}

// completeBehind is completeNames behind a first argument that is none.
func (a *app) completeBehind(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeNames(cmd, args, prefix)
}
