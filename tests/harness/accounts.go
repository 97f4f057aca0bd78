package harness

import (
	"context"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// Accounts is what the daemon charges its users, by user and resource; what is zero is
// left out.
type Accounts map[uint32]map[string]uint64

// Accounts asks for all accounts.
func (d *Daemon) Accounts(ctx context.Context, c *shmd.Client) (Accounts, error) {
	all := make(Accounts)
	for from := uint32(0); ; {
		var page wire.QuotaResult
		if err := c.Call(ctx, wire.MethodQuota, &page, from); err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			all[u.UID] = make(map[string]uint64)
			for _, use := range u.Uses {
				if use.Used > 0 {
					all[u.UID][use.Resource] = use.Used
				}
			}
		}
		if from = page.Next; from == 0 {
			return all, nil
		}
	}
}

// checkAccounts wants nothing charged but one connection: everything else was given back
// exactly once.
func (d *Daemon) checkAccounts(ctx context.Context, c *shmd.Client) {
	d.t.Helper()
	for {
		all, err := d.Accounts(ctx, c)
		if err != nil {
			d.t.Errorf("leak check: %v", err)
			return
		}
		exact := len(all) == 1
		for _, uses := range all {
			exact = exact && len(uses) == 2 && uses["connections"] == 1 && uses["descriptors"] == 2
		}
		if exact {
			return
		}
		if ctx.Err() != nil {
			d.t.Errorf("with everything gone but one connection, the daemon charges %v", all)
			return
		}
	}
}
