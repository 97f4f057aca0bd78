package main

import (
	"context"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

const quotaLong = `Show how much each user has of what the daemon counts, and how much he may have as things
are: his limit, or his share of what there is for all, whichever is less. The lines of
"all" are what all users have together, and what there is.

  objects       of the user, side segments of queues included
  bytes         of the memory of these
  descriptors   that the daemon keeps open for objects and connections
  connections   zombies included
  zombies       processes that closed their connection and may still write
  detached      clients of the daemon before this one, until they come back
  handles       open, on all connections
  seats         in objects: one for each object that a process has open
  tokens        that hold rwlocks or wait for them
  waiting       calls that wait in the daemon
  buffer_bytes  of messages under way: answers that nobody reads, unfinished requests
  tickets       that keep objects for who will open them

A user who is neither root nor the one whom the daemon runs as sees himself alone. Limits
are set with the flags of shmd serve, or in its configuration file.`

func (a *app) newQuota() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Show who uses how much of which limit",
		Long:  quotaLong,
		Example: `shmd quota
shmd quota --all --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				users, pools, err := quotaOf(ctx, c)
				if err != nil {
					return err
				}
				return a.showQuota(users, pools, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show what is not used, too")
	return cmd
}

// quotaOf asks for all pages.
func quotaOf(ctx context.Context, c *shmd.Client) (users []wire.QuotaUser, pools []wire.QuotaUse, err error) {
	for from := uint32(0); ; {
		var page wire.QuotaResult
		if err := c.Call(ctx, wire.MethodQuota, &page, from); err != nil {
			return nil, nil, err
		}
		users = append(users, page.Users...)
		if page.Next == 0 {
			return users, page.Pools, nil
		}
		from = page.Next
	}
}

func (a *app) showQuota(users []wire.QuotaUser, pools []wire.QuotaUse, all bool) error {
	t := a.newTable()
	if !a.json {
		t.row("UID", "RESOURCE", "USED", "MAX")
	}
	show := func(uid any, text string, uses []wire.QuotaUse) error {
		for _, use := range uses {
			switch {
			case use.Used == 0 && !all:
			case a.json:
				if err := a.emit(append(document{{"uid", uid}}, documentOf(use)...)); err != nil {
					return err
				}
			default:
				t.row(text, use.Resource, decimal(use.Used), decimal(use.Max))
			}
		}
		return nil
	}
	for _, u := range users {
		if err := show(u.UID, decimal(u.UID), u.Uses); err != nil {
			return err
		}
	}
	if err := show(nil, "all", pools); err != nil {
		return err
	}
	return t.flush()
}
