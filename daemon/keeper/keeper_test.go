package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// socketVariable makes the test binary be a keeper.
const socketVariable = "SHMD_TEST_KEEPER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(socketVariable); socket != "" {
		ready := os.NewFile(3, "ready")
		err := Run(context.Background(), Config{Socket: socket, Ready: func() error {
			_, err := ready.WriteString("ready\n")
			return errors.Join(err, ready.Close())
		}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// file is a memfd with a text in it.
func file(t *testing.T, text string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), text)
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

// config is a keeper of this test.
func config(t *testing.T) (LinkConfig, *[]*exec.Cmd) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "k")
	started := new([]*exec.Cmd)
	return LinkConfig{Socket: socket, Logger: slog.New(slog.DiscardHandler), Command: func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{socketVariable + "=" + socket}
		*started = append(*started, cmd)
		return cmd
	}}, started
}

// held connects, and tells what the keeper had by then.
func held(t *testing.T, c LinkConfig) (*Link, map[string]string) {
	t.Helper()
	l, entries, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, e := range entries {
		b := make([]byte, 64)
		n, err := e.File.ReadAt(b, 0)
		if n == 0 {
			t.Fatal(err)
		}
		texts[e.Key] = string(b[:n])
		l.Adopt(e.Key, e.File)
		t.Cleanup(func() { e.File.Close() })
	}
	return l, texts
}

func want(t *testing.T, got map[string]string, keys ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(wanted(keys)) {
		t.Errorf("the keeper has %v, want %v", got, wanted(keys))
	}
}

func wanted(keys []string) map[string]string {
	all := make(map[string]string)
	for _, k := range keys {
		key, text, _ := strings.Cut(k, "=")
		all[key] = text
	}
	return all
}

// What was put is there for the next daemon, whether or not the keeper has come to it
// before the first one goes.
func TestHandOver(t *testing.T) {
	c, _ := config(t)
	l, got := held(t, c)
	want(t, got)
	for _, text := range []string{"a", "b", "c"} {
		if err := l.Put(text, file(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Put("b", file(t, "another")); err != nil {
		t.Fatal(err)
	}
	l.Drop("a")
	l.Close(false)
	l, got = held(t, c)
	want(t, got, "b=another", "c=c")
	l.Close(true)
	l, got = held(t, c)
	want(t, got)
	l.Close(true)
}

// A keeper that dies is replaced, by whoever notices first, and the next one has
// everything: the journal last, so that there is none without the rest.
func TestKeeperDies(t *testing.T) {
	c, started := config(t)
	l, _ := held(t, c)
	for i := range 50 {
		if err := l.Put(fmt.Sprint("k", i), file(t, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Put(JournalKey, file(t, "journal")); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		l.mu.Lock()
		keeper := (*started)[round]
		l.mu.Unlock()
		if err := keeper.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := l.Put(fmt.Sprint("new", round), file(t, "new")); err != nil {
			t.Fatal(err)
		}
		giveUp := time.Now().Add(time.Minute)
		for {
			l.mu.Lock()
			n := len(*started)
			l.mu.Unlock()
			if n == round+2 {
				break
			}
			if time.Now().After(giveUp) {
				t.Fatal("nobody starts another keeper")
			}
		}
	}
	if err := l.Put("last", file(t, "x")); err != nil {
		t.Fatal(err)
	}
	l.Close(false)
	l, got := held(t, c)
	if len(got) != 50+1+5+1 || got[JournalKey] != "journal" {
		t.Errorf("the last keeper has %d descriptors: %v", len(got), got)
	}
	l.Close(true)
}

// A daemon that has no keeper and gets none says so.
func TestNoKeeper(t *testing.T) {
	c, _ := config(t)
	c.Command = func() *exec.Cmd { return exec.Command("/bin/false") }
	if _, _, err := Connect(t.Context(), c); err == nil {
		t.Error("a keeper that does not start goes unnoticed")
	}
	c.Command = nil
	if _, _, err := Connect(t.Context(), c); err == nil {
		t.Error("a keeper that nobody starts goes unnoticed")
	}
}

// Who speaks another language is hung up on; what is held stays.
func TestStrangers(t *testing.T) {
	c, _ := config(t)
	l, _ := held(t, c)
	if err := l.Put("a", file(t, "a")); err != nil {
		t.Fatal(err)
	}
	l.Close(false)
	conn, err := (&Link{config: c}).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := send(conn, verbDrop, strings.Repeat("x", messageMax-1), -1); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l, got := held(t, c)
	want(t, got, "a=a")
	l.Close(true)
	if err := Quit(t.Context(), c.Socket); err != nil {
		t.Errorf("nobody is there to be told: %v", err)
	}
}

// A keeper that ends late takes the name of no other away.
func TestLateEnd(t *testing.T) {
	c, _ := config(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listens, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Socket: c.Socket, Supervised: true,
			Ready: func() error { close(listens); return nil }})
	}()
	<-listens
	other := &keeper{Config: Config{Socket: c.Socket}}
	if err := other.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(c.Socket); err != nil {
		t.Errorf("the name of the other keeper is gone: %v", err)
	}
	if err := other.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(c.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own name is still there: %v", err)
	}
}

// A keeper that is ended before it waits for anybody ends as one that waits.
func TestEndBeforeTheFirst(t *testing.T) {
	c, _ := config(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, Config{Socket: c.Socket, Supervised: true, Ready: func() error {
		cancel()
		for { // until nobody listens any more
			conn, err := net.Dial("unixpacket", c.Socket)
			if err != nil {
				return nil
			}
			conn.Close()
		}
	}})
	if err != nil {
		t.Error(err)
	}
}

// Clients that do not receive their descriptors keep the daemon from sending any, also to
// its keeper, which has done nothing wrong.
func TestTooManyOnTheirWay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become a user whom the kernel bounds")
	}
	c, started := config(t)
	l, _ := held(t, c)
	defer l.Close(true)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	f := file(t, "x")
	var first, second error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // a thread of another user, which ends with this goroutine
		if first = setThreadUID(65534); first != nil {
			return
		}
		rights := unix.UnixRights(int(f.Fd()))
		for range 200 {
			if err := unix.Sendmsg(pair[0], []byte{0}, rights, nil, unix.MSG_DONTWAIT); err != nil {
				break
			}
		}
		first = l.Put("a", f)
		_ = errors.Join(unix.Close(pair[0]), unix.Close(pair[1])) // nothing is on its way any more
		for second = l.Put("a", f); errors.Is(second, status.Busy); second = l.Put("a", f) {
			runtime.Gosched() // the kernel takes its time
		}
	}()
	<-done
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(first, status.Busy) || second != nil || len(*started) != 1 {
		t.Errorf("%v, then %v, with %d keepers", first, second, len(*started))
	}
}

// Who waits for the end of a keeper that was told to quit meets none afterwards.
func TestQuitIsOver(t *testing.T) {
	c, _ := config(t)
	for range 50 {
		l, _ := held(t, c)
		l.Close(true)
		if conn, err := (&Link{config: c}).dial(t.Context()); err == nil {
			conn.Close()
			t.Fatal("the keeper still listens")
		}
	}
}
