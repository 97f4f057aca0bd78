package protocol

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Another user creates where the rules let him, opens what is there already, and a reload
// changes the rules for whoever is connected.
func TestNameRules(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("uid %d cannot become another user, and the rules do not hold for root", os.Getuid())
	}
	dir := public(t)
	config := daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666, Names: daemon.Names{Own: "uid",
		Rules: []daemon.NameRule{{Prefix: "jobs"}, {Prefix: "jobs/open", GIDs: []uint32{nobody}}}}}
	s := serve(t, config)
	p := dial(t, s.Socket()).greet()
	p.must(wire.MethodCreate, "jobs/there", "mutex", m{"mode": 0o666})
	c := startCaller(t, copySelf(t, dir), s.Socket(), true)
	c.Expect("OK")
	const refused = "user 65534 may not create names under jobs"
	c.call(t, status.Permission, "jobs/x|"+refused+"|such as uid/65534/jobs/x", "create", "jobs/x", "mutex", m{})
	c.call(t, status.Permission, refused, "open_or_create", "jobs/x", "mutex", m{})
	// Whether a name is taken is not told to who may not take it.
	c.call(t, status.Permission, refused, "create", "jobs/there", "mutex", m{})
	c.call(t, status.OK, "", "open_or_create", "jobs/there", "mutex", m{})
	for _, name := range []string{"jobs/open/x", "jobsx", "uid/65534/jobs/x", ""} {
		c.call(t, status.OK, "", "create", name, "mutex", m{})
	}
	c.call(t, status.Permission, "each user's own|uid/65534/", "create", "uid/0/x", "mutex", m{})
	config.Names = daemon.Names{}
	if err := s.Reload(config); err != nil {
		t.Fatal(err)
	}
	c.call(t, status.OK, "", "create", "jobs/x", "mutex", m{})
	config.Names.Own = "a//b"
	if err := s.Reload(config); err == nil {
		t.Error("a bad configuration is taken")
	}
	c.MustEnd()
}
