package daemon

import (
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A strict mutex is not lost by a grant with a notice that nobody hears of.
func TestUnheardNoticeIsKept(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b, c := greeted(t, s, 1), greeted(t, s, 2), greeted(t, s, 3)
	strict := map[string]any{"strict": true}
	am, bm, cm := a.open("m", wire.KindMutex, strict), b.open("m", wire.KindMutex, strict),
		c.open("m", wire.KindMutex, strict)
	wantCode(t, "lock", a.call(nil, wire.MethodLock, am), status.OK)
	b.send(wire.MethodLock, bm)
	s.awaitWaiters(t, "m", 1)
	s.mute(t, 2)
	a.conn.Close()
	s.awaitCalls(t, 0)
	b.conn.Close()
	var notice *wire.Notice
	if err := c.call(&notice, wire.MethodLock, cm); err != nil || notice == nil {
		t.Errorf("lock: %+v, %v", notice, err)
	}
}
