package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

// startAt runs a daemon on a path until the test ends.
func startAt(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.audit(t)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOneDaemonPerSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "s")
	first := startAt(t, Config{Socket: path})
	if _, err := Start(t.Context(), Config{Socket: path}); !errors.Is(err, ErrRunning) {
		t.Errorf("a second daemon: error %v, want ErrRunning", err)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	startAt(t, Config{Socket: path})
}

// The socket of a daemon that was killed is replaced; a file that is none is not.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := startAt(t, Config{Socket: path})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{Socket: path}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("on a file: error %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" || err != nil {
		t.Errorf("the file now holds %q, %v", text, err)
	}
}

func TestSocketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	gid := os.Getgid()
	startAt(t, Config{Socket: path, SocketMode: 0o660, SocketGID: &gid})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o660 {
		t.Errorf("the mode is %v", got)
	}
}

func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []Config{
		{Socket: filepath.Join(dir, strings.Repeat("x", 120))},
		{Socket: filepath.Join(dir, "s"), SeatsDefault: 5000},
		{Socket: filepath.Join(dir, "s"), SocketMode: fs.ModeSetuid | 0o600},
	} {
		if _, err := Start(t.Context(), c); !errors.Is(err, status.Invalid) {
			t.Errorf("%+v: error %v, want Invalid", c, err)
		}
	}
}

// No user may take so many descriptors that others find none, whatever the
// configuration says.
func TestQuotasFitTheDescriptors(t *testing.T) {
	files, err := filesLimit()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Config{QuotaObjects: 1 << 60, QuotaConnections: 1 << 60}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if c.QuotaConnections > files/8 || c.QuotaObjects > files/4*3 || c.descriptors > files-files/8 ||
		c.QuotaObjects > c.descriptors-files/8 {
		t.Errorf("%d objects and %d connections of one user, %d descriptors of all, of %d", c.QuotaObjects,
			c.QuotaConnections, c.descriptors, files)
	}
}
