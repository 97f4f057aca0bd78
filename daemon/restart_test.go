package daemon

import (
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
)

// A client that comes back on two connections at once gets one of them, also if both have
// found it before either has it.
func TestComesBackOnce(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	who := func() *peer {
		p, err := identify(connected(t), sinceBoot(), false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	c := &client{id: 1 << 40, peer: who(), uuid: [16]byte{1}, ended: true, session: detachedSession(s)}
	s.quota.inherit(c.peer.uid, detachedAmounts...)
	s.mu.Lock()
	s.clients[c.id] = c
	s.mu.Unlock()
	for _, want := range []status.Code{status.OK, status.Busy} {
		s.mu.Lock()
		s.detached[c] = struct{}{} // as the second has seen it, too
		s.mu.Unlock()
		if _, err := s.comeBack(c.uuid, who(), detachedSession(s), true); status.Of(err) != want {
			t.Errorf("it comes back: %v, want %v", err, want)
		}
	}
	s.mu.Lock()
	delete(s.clients, c.id)
	delete(s.detached, c)
	s.mu.Unlock()
	c.peer.close()
}
