package protocol

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A user whom the daemon does not run as has a share of what there is for all: he is told
// so, the others find the rest, and who was given a limit of his own has that.
func TestSharesOfUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make calls as another user")
	}
	const pages, page = 40, 4096
	for _, test := range []struct {
		own   map[uint32]daemon.Limits
		gets  int
		wants string
	}{
		{nil, pages / 2, "user 65534 uses 81920 of at most 81920|his share of 163840|--quota-user"},
		{map[uint32]daemon.Limits{nobody: {Bytes: 30 * page}}, 30, "user 65534 uses 122880 of at most 122880"},
		{map[uint32]daemon.Limits{nobody: {Bytes: 100 * page}}, pages, "budget has 0 of 163840 left"},
	} {
		t.Run(fmt.Sprint(test.gets), func(t *testing.T) {
			dir := public(t)
			program := copySelf(t, dir)
			s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666,
				BudgetBytes: pages * page, QuotaUsers: test.own})
			c := startCaller(t, program, s.Socket(), true)
			c.Expect("OK")
			for i := range test.gets {
				c.call(t, status.OK, "", "create", fmt.Sprint("theirs/", i), "mutex", m{})
			}
			code := status.Quota
			if test.gets == pages {
				code = status.NoSpace
			}
			c.call(t, code, "theirs/more|"+test.wants, "create", "theirs/more", "mutex", m{})
			p := dial(t, s.Socket()).greet()
			for i := range pages - test.gets {
				p.must(wire.MethodCreate, fmt.Sprint("mine/", i), "mutex", m{})
			}
			p.refuses(status.NoSpace, "", wire.MethodCreate, "mine/more", "mutex", m{})
			c.MustEnd()
		})
	}
}

// A user who is neither root nor the daemon's own is told of himself alone.
func TestQuotaOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to connect as another user")
	}
	s := serve(t, daemon.Config{Socket: filepath.Join(public(t), "shmd.sock"), SocketMode: 0o666})
	told := make(map[int]wire.QuotaResult)
	both := []*peer{dial(t, s.Socket()).greet(), dialAs(t, nobody, s.Socket())}
	both[1].must(wire.MethodHello, 1, 1, bytes.Repeat([]byte{7}, 16), "other")
	for i, p := range both {
		p.must(wire.MethodCreate, fmt.Sprint("of/", i), "mutex", m{})
	}
	for i, p := range both {
		var r wire.QuotaResult
		if err := wire.Decode(p.must(wire.MethodQuota), &r); err != nil {
			t.Fatal(err)
		}
		told[i] = r
	}
	if r := told[0]; len(r.Users) != 2 || len(r.Pools) == 0 || r.Users[1].UID != nobody {
		t.Errorf("root is told %+v", r)
	}
	r := told[1]
	if len(r.Users) != 1 || r.Users[0].UID != nobody || len(r.Pools) != 0 || r.Users[0].Uses[0].Used != 1 {
		t.Errorf("another user is told %+v", r)
	}
	var beyond wire.QuotaResult // whatever page he asks for
	if err := wire.Decode(both[1].must(wire.MethodQuota, 0), &beyond); err != nil || len(beyond.Users) != 1 {
		t.Errorf("another user is told %+v, %v", beyond, err)
	}
}
