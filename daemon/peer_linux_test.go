package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// connected returns the daemon's end of a connection of this process.
func connected(t *testing.T) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// With and without SO_PEERPIDFD, a peer is who it is, and alive.
func TestIdentify(t *testing.T) {
	for _, without := range []bool{false, true} {
		p, err := identify(connected(t), sinceBoot(), without)
		if err != nil {
			t.Fatalf("without SO_PEERPIDFD %v: %v", without, err)
		}
		if int(p.pid) != os.Getpid() || int(p.uid) != os.Getuid() || int(p.gid) != os.Getgid() || p.dead() {
			t.Errorf("without SO_PEERPIDFD %v: %+v, dead %v", without, p, p.dead())
		}
		ended := make(chan bool)
		go func() { ended <- p.waitDeath() }()
		p.close()
		if <-ended {
			t.Error("close was taken for a death")
		}
	}
}

// A process that is younger than the connection cannot have made it.
func TestIdentifyReusedPID(t *testing.T) {
	_, err := identify(connected(t), time.Nanosecond, true)
	if !errors.Is(err, status.Identity) {
		t.Errorf("error %v, want Identity", err)
	}
}

// The mappings of a process are recognised by the inode of the memfd.
func TestMapsAny(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	b := &blueprint{mode: modeDefault, lifetime: lifetimePersistent}
	if err := b.read(3, emptyOptions, 4); err != nil {
		t.Fatal(err)
	}
	o, err := s.build(&client{peer: &peer{}}, b)
	if err != nil {
		t.Fatal(err)
	}
	inode := o.segment.Inode()
	for _, test := range []struct {
		inode uint64
		want  bool
	}{{inode, true}, {inode + 1<<40, false}} {
		got, err := mapsAny(int32(os.Getpid()), map[uint64]struct{}{test.inode: {}})
		if got != test.want || err != nil {
			t.Errorf("inode %d: %v, %v; want %v", test.inode, got, err, test.want)
		}
	}
}
