package daemon

import (
	"errors"
	"testing"

	"github.com/shmd/shmd/status"
)

// The first class that a client is of decides, as in a file system.
func TestPermits(t *testing.T) {
	const owner, group, other = 1000, 100, 2000
	for _, test := range []struct {
		mode   uint32
		peer   peer
		want   uint32
		permit bool
	}{
		{0o600, peer{uid: owner, gid: 1}, modeRead | modeWrite, true},
		{0o600, peer{uid: other, gid: group}, modeRead, false},
		{0o640, peer{uid: other, gid: group}, modeRead, true},
		{0o640, peer{uid: other, gid: group}, modeRead | modeWrite, false},
		{0o640, peer{uid: other, gid: 1, groups: []uint32{5, group}}, modeRead, true},
		{0o604, peer{uid: other, gid: group}, modeRead, false}, // the group's bits, though others may
		{0o604, peer{uid: other, gid: 1}, modeRead, true},
		{0o066, peer{uid: owner, gid: group}, modeRead, false}, // the owner's bits, though all others may
		{0o000, peer{uid: 0, gid: 0}, modeRead | modeWrite, true},
	} {
		o := &object{name: "o", uid: owner, gid: group, mode: test.mode}
		err := o.permits(&test.peer, test.want)
		if test.permit && err != nil || !test.permit && !errors.Is(err, status.Permission) {
			t.Errorf("mode %03o, uid %d gid %d groups %v, want %o: %v", test.mode, test.peer.uid, test.peer.gid,
				test.peer.groups, test.want, err)
		}
	}
}
