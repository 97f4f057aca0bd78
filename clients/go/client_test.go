package shmd_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// patience is the watchdog of every wait here; nothing waits that long.
const patience = time.Minute

// running counts the daemons of the test.
var running int

// start runs a daemon in this process until the test ends, and then wants every
// goroutine of daemon and clients gone; with several daemons, when the last one ends: an
// idle client of another may begin to read meanwhile.
func start(t *testing.T, c daemon.Config) *daemon.Server {
	t.Helper()
	before := runtime.NumGoroutine()
	running++
	c.Socket = filepath.Join(t.TempDir(), "shmd.sock")
	s, err := daemon.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut the daemon down: %v", err)
		}
		if running--; running > 0 {
			return
		}
		for runtime.NumGoroutine() > before && ctx.Err() == nil {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			stacks := make([]byte, 1<<16)
			t.Errorf("%d goroutines before, %d after\n%s", before, n, stacks[:runtime.Stack(stacks, true)])
		}
	})
	return s
}

func dial(t *testing.T, s *daemon.Server) *shmd.Client {
	t.Helper()
	c, err := shmd.Dial(t.Context(), shmd.Options{Socket: s.Socket()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// wantError fails the test unless err is want.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func TestDialWithoutDaemon(t *testing.T) {
	_, err := shmd.Dial(t.Context(), shmd.Options{Socket: filepath.Join(t.TempDir(), "none")})
	wantError(t, "dial", err, shmd.ErrNoDaemon)
	wantError(t, "dial", err, fs.ErrNotExist)
}

// A socket whose daemon does not come to accept is waited for.
func TestDialWhereManyWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		waiting, err := net.Dial("unix", path)
		if errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = waiting.Close() })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = shmd.Dial(ctx, shmd.Options{Socket: path})
	wantError(t, "dial", err, shmd.ErrTimedOut)
}

// The socket is looked for where the documentation says, in its order.
func TestDefaultSocket(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("SHMD_SOCKET", "/of/the/environment")
	if got := shmd.DefaultSocket(); got != "/of/the/environment" {
		t.Errorf("with SHMD_SOCKET: %q", got)
	}
	t.Setenv("SHMD_SOCKET", "")
	path := filepath.Join(dir, "shmd", "shmd.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shmd.DefaultSocket(); got != path {
		t.Errorf("with XDG_RUNTIME_DIR: %q, want %q", got, path)
	}
}

// When the daemon goes, open objects go on working and control calls say so at
// once, those under way included.
func TestLost(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	v, err := shmd.CreateValue(t.Context(), c, "v", int32(1), shmd.ValueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := dial(t, s)
	waiting, err := shmd.OpenValueReadOnly[int32](t.Context(), other, "v")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := waiting.WaitChange(t.Context(), waiting.Version())
		ended <- err
	}()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a wait at the daemon", <-ended, shmd.ErrLost)
	<-c.Lost()
	wantError(t, "unlink", c.Unlink(t.Context(), "v"), shmd.ErrLost)
	if err := v.Store(2); err != nil {
		t.Error(err)
	}
	if got, err := waiting.Load(); got != 2 || err != nil {
		t.Errorf("the other client reads %v, %v", got, err)
	}
	if err := errors.Join(v.Unlock(), v.Close(), waiting.Close()); err != nil {
		t.Error(err)
	}
}

// Calls of one client from many goroutines are all answered, each with its own.
func TestPipelining(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	a, err := shmd.CreateArray[uint32](t.Context(), c, "", shmd.ArrayOptions{Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var handle struct {
		Handle uint64 `msgpack:"handle"`
	}
	if err := c.Call(t.Context(), "open", &handle, a.ID()); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const callers = 8
	for n := range callers {
		go func() {
			for i := n; i < a.Len(); i += callers {
				err := c.Call(t.Context(), "set", nil, handle.Handle, i, i*i)
				var got int
				err = errors.Join(err, c.Call(t.Context(), "get", &got, handle.Handle, i))
				if got != i*i {
					err = errors.Join(err, errors.New("another's answer"))
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for i, x := range a.View() {
		if x != uint32(i*i) {
			t.Fatalf("element %d is %d", i, x)
		}
	}
}
