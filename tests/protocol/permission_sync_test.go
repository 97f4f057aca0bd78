package protocol

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A condition needs write access to its mutex too, whatever its own mode; who may only
// read an event, a barrier or an rwlock may look at it.
func TestSyncPermissions(t *testing.T) {
	root := os.Getuid() == 0
	dir := public(t)
	program := copySelf(t, dir)
	s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666})
	p := dial(t, s.Socket()).greet()
	// For the class that the caller is of: write to nothing, or to everything.
	look, use := 0o644, 0o666
	if !root {
		t.Logf("uid %d cannot become another user: only what a user may keep from himself is tested", os.Getuid())
		look = 0o466
	}
	for name, mode := range map[string]int{"mutex/look": look, "mutex/use": use} {
		p.must(wire.MethodCreate, name, "mutex", m{})
		p.must(wire.MethodCreate, "condition/"+name, "condition", m{"lock": "@" + name, "mode": use})
		p.must(wire.MethodChmod, name, mode)
	}
	p.must(wire.MethodCreate, "condition/look", "condition", m{"lock": "@mutex/use"})
	p.must(wire.MethodCreate, "event", "event", m{})
	p.must(wire.MethodCreate, "barrier", "barrier", m{"parties": 2})
	p.must(wire.MethodCreate, "rwlock", "rwlock", m{})
	for _, name := range []string{"condition/look", "event", "barrier", "rwlock"} {
		p.must(wire.MethodChmod, name, look)
	}
	c := startCaller(t, program, s.Socket(), root)
	c.Expect("OK")
	c.call(t, status.Permission, `"mutex/look"|reading and writing`, "open", "condition/mutex/look")
	c.call(t, status.Permission, `"condition/look"|reading and writing`, "open", "condition/look")
	c.call(t, status.Permission, `"condition/mutex/use"|not opened read-only`, "open", "condition/mutex/use",
		m{"access": "r"})
	c.call(t, status.Permission, `"mutex/look"`, "create", "mine", "condition", m{"lock": "@mutex/look"})
	c.call(t, status.NotFound, "", "stat", "mine")
	c.call(t, status.OK, "", "open", "condition/mutex/use") // handles 1, of the mutex, and 2
	c.call(t, status.OK, "", "lock", 2)
	c.call(t, status.TimedOut, "", "wait_condition", 2, 1000)
	c.call(t, status.OK, "", "notify", 2)
	c.call(t, status.OK, "", "unlock", 1)
	c.call(t, status.OK, "", "create", "mine", "condition", m{"lock": "@mutex/use"}) // 3 and 4

	for handle, kind := range []string{5: "event", 6: "barrier", 7: "rwlock"} {
		if kind == "" {
			continue
		}
		c.call(t, status.Permission, `"`+kind+`"|access "r"`, "open", kind)
		c.call(t, status.OK, "", "open", kind, m{"access": "r"})
		for _, method := range map[string][]string{
			"event":   {"signal", "reset", "wait"},
			"barrier": {"arrive", "abort", "reset", "complete"},
			"rwlock":  {"read_lock", "lock", "unlock"},
		}[kind] {
			c.call(t, status.Permission, `"`+kind+`"|open it with "rw"`, method, handle)
		}
		if root {
			c.call(t, status.Permission, "only its owner (uid 0) and root", "destroy", kind)
		}
	}
	c.call(t, status.OK, "", "is_set", 5)
	c.call(t, status.OK, "", "barrier", 6)
	c.call(t, status.Permission, `"barrier"|reading and writing`, "open", "barrier", m{"party": true})
	c.call(t, status.Invalid, `"barrier"|a party arrives`, "open", "barrier", m{"party": true, "access": "r"})
	c.MustEnd()
}
