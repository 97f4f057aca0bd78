package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shmd/shmd/daemon"
)

// serveOnce runs `serve` with args in this process until it is ready, asks its
// status, and ends it.
func serveOnce(t *testing.T, args []string) (stderr string) {
	t.Helper()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	ready := os.NewFile(uintptr(pipe[0]), "ready")
	defer ready.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, log bytes.Buffer
	done := make(chan int, 1)
	go func() {
		a := &app{stdout: &stdout, stderr: &log}
		code := a.run(ctx, append(args, "--keeper", "none", "--ready-fd", strconv.Itoa(pipe[1])))
		done <- code
	}()
	text, err := io.ReadAll(ready)
	if err != nil || string(text) != "ready\n" {
		t.Errorf("--ready-fd: %q, %v", text, err)
	}
	must(t, "status")
	cancel()
	if code := <-done; code != 0 || stdout.Len() > 0 || !strings.Contains(log.String(), "stopped") {
		t.Errorf("serve %q: exit %d, stdout %q, log %s", args, code, &stdout, &log)
	}
	return log.String()
}

func TestServeFlags(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	t.Setenv("SHMD_SOCKET", socket)
	log := serveOnce(t, []string{"serve", "--socket-mode", "0620", "--budget", "1M", "--log-json",
		"--socket-owner", strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()),
		"--without", "peerpidfd,futex_waitv,noexec_seal", "--quota-objects", "3"})
	first, _, _ := strings.Cut(log, "\n")
	wantJSON(t, first, map[string]any{"msg": "ready", "socket": socket, "budget_bytes": 1 << 20})
	if log := serveOnce(t, []string{"serve", "--log-level", "debug"}); !strings.Contains(log, "time=") {
		t.Errorf("log: %s", log)
	}
}

func TestWithout(t *testing.T) {
	for text, want := range map[string]daemon.Features{"peerpidfd": {PeerPIDFD: true},
		"futex_waitv": {FutexWaitv: true}, "noexec_seal": {NoexecSeal: true}} {
		flags := &serveFlags{keeper: keeperNone, without: []string{text}}
		c, err := flags.complete(&app{stderr: io.Discard}, "s", &slog.LevelVar{})
		if err != nil || c.Without != want {
			t.Errorf("--without %s: %+v, %v", text, c.Without, err)
		}
	}
}

func TestSocketOwner(t *testing.T) {
	for text, want := range map[string][2]int{"root": {0, -1}, "12:34": {12, 34}, "root:root": {0, 0}, "7": {7, -1}} {
		var o ownerFlag
		if err := o.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if o.gid == nil {
			o.gid = new(-1)
		}
		if *o.uid != want[0] || *o.gid != want[1] {
			t.Errorf("%s is %d, %d; want %v", text, *o.uid, *o.gid, want)
		}
	}
	for _, text := range []string{"", "-1", ":0", "0:", "0:-1", "0:no-such-group", "4294967295"} {
		var o ownerFlag
		if err := o.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// A real process: signals end it, stdout stays empty, and there is only one.
func TestServeProcess(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SHMD_SOCKET", filepath.Join(dir, "s"))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := spawn(t, "serve", "--ready-fd", "3", "--socket-mode", "0666", "--keeper", "none")
	p.ExtraFiles = []*os.File{w}
	p.start()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "ready\n" {
		t.Fatalf("--ready-fd: %q, %v; stderr %q", text, err, p.stderr)
	}
	info, err := os.Stat(filepath.Join(dir, "s"))
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	must(t, "create", "m", "mutex")
	if r := invoke(t, "serve"); r.code != exitUnavailable {
		t.Errorf("a second daemon: %+v", r)
	}

	// What a command runs under goes on without the daemon, with a warning.
	holder := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x; exit 4")
	holder.start()
	holder.line("held")
	waiter := spawn(t, "lock", "m", "--", "true")
	waiter.start()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, stdout := p.end(); code != 0 || stdout != "" || !strings.Contains(p.stderr.String(), "msg=stopped") {
		t.Errorf("after SIGTERM: exit %d, stdout %q, stderr %q", code, stdout, p.stderr)
	}
	// It gets an error, or not even a connection; never the lock that the holder's
	// command still runs under.
	if code, _ := waiter.end(); code != exitFailure {
		t.Errorf("who waits when the daemon ends: exit %d, stderr %q", code, waiter.stderr)
	}
	if err := holder.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := holder.end(); code != 4 || strings.Count(holder.stderr.String(), "the daemon ended") != 1 {
		t.Errorf("the holder: exit %d, stderr %q", code, holder.stderr)
	}
	if r := invoke(t, "status"); r.code != exitFailure || !strings.Contains(r.stderr, "shmd serve") {
		t.Errorf("no daemon: %+v", r)
	}
}

// A second signal cuts a shutdown short, which is no failure.
func TestShutdownAtOnce(t *testing.T) {
	var log bytes.Buffer
	signals := make(chan os.Signal, 1)
	begun := make(chan struct{})
	go func() {
		<-begun
		signals <- syscall.SIGTERM
	}()
	err := shutdown(func(ctx context.Context) error {
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > shutdownPatience {
			t.Errorf("patience of %v", left)
		}
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}, signals, slog.New(slog.NewTextHandler(&log, nil)))
	text := log.String()
	if err != nil || !strings.Contains(text, "stopping at once") || !strings.Contains(text, "canceled") {
		t.Errorf("%v, log %s", err, text)
	}
	broken := errors.New("broken")
	err = shutdown(func(context.Context) error { return broken }, signals, slog.New(slog.DiscardHandler))
	if err != broken {
		t.Errorf("a failure gives %v", err)
	}
}

func TestJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	stream := strconv.FormatUint(stat.Dev, 10) + ":" + strconv.FormatUint(stat.Ino, 10)
	t.Setenv("JOURNAL_STREAM", stream)
	if !onJournal(f) || onJournal(&bytes.Buffer{}) {
		t.Error("the journal is not recognised, or what is none is")
	}
	t.Setenv("JOURNAL_STREAM", stream+"1")
	if onJournal(f) {
		t.Error("another file counts as the journal")
	}
	for stderr, timed := range map[io.Writer]bool{f: false, &bytes.Buffer{}: true} {
		t.Setenv("JOURNAL_STREAM", stream)
		c, err := (&serveFlags{keeper: keeperNone}).complete(&app{stderr: stderr}, "s", &slog.LevelVar{})
		if err != nil {
			t.Fatal(err)
		}
		c.Logger.Info("hello")
		text := ""
		if b, ok := stderr.(*bytes.Buffer); ok {
			text = b.String()
		} else if raw, err := os.ReadFile(f.Name()); err == nil {
			text = string(raw)
		}
		if strings.Contains(text, "time=") != timed || !strings.Contains(text, "hello") {
			t.Errorf("log %q; times wanted: %v", text, timed)
		}
	}
}

func TestFlagValues(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "17": 17, "4k": 4096, "3M": 3 << 20, "2G": 2 << 30,
		"1T": 1 << 40} {
		var s sizeFlag
		if err := s.Set(text); err != nil || uint64(s) != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "1KK", "1.5G", "99999999999T", "1B"} {
		var s sizeFlag
		if err := s.Set(text); err == nil {
			t.Errorf("%q is a size: %d", text, s)
		}
	}
	for text, want := range map[string]string{"500ms": "500ms", "5": "5s", "0.5": "500ms", "2m": "2m0s", "0": "0s"} {
		var d durationFlag
		if err := d.Set(text); err != nil || d.String() != want {
			t.Errorf("%q is %s, %v; want %s", text, &d, err, want)
		}
	}
	for _, text := range []string{"", "-1s", "-1", "soon"} {
		var d durationFlag
		if err := d.Set(text); err == nil {
			t.Errorf("%q is a duration: %s", text, &d)
		}
	}
}

func TestNegativeNumbersAreValues(t *testing.T) {
	root := (&app{}).newRoot()
	for in, want := range map[string]string{
		"set x -5":                     "set -- x -5",
		"set x -5 --json":              "set --json -- x -5",
		"--socket S set x -.5":         "set --socket S -- x -.5",
		"set --json x -inf":            "set --json -- x -inf",
		"set x --add -5":               "set --add -5 -- x",
		"set x --add=-5 3":             "set --add=-5 -- x 3",
		"set x -- -5 --json":           "set -- x -5 --json",
		"get x -5":                     "get x -5",
		"lock x -- set -5":             "lock x -- set -5",
		"set --help":                   "set --help --",
		"create x value --init -5":     "create x value --init -5",
		"--json lock x -- prog set -1": "--json lock x -- prog set -1",
	} {
		if got := strings.Join(setNegatives(root, strings.Fields(in)), " "); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A daemon with a lifeline goes on while anybody holds it or is connected, and then leaves
// nothing behind.
func TestServeLifeline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "private")
	t.Setenv("SHMD_SOCKET", filepath.Join(dir, "s"))
	ready, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	line, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := spawn(t, "serve", "--ready-fd", "3", "--lifeline-fd", "4", "--keeper", "none")
	p.ExtraFiles = []*os.File{told, line}
	p.start()
	if err := errors.Join(told.Close(), line.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(ready); err != nil || string(text) != "ready\n" {
		t.Fatalf("--ready-fd: %q, %v; stderr %q", text, err, p.stderr)
	}
	must(t, "create", "m", "mutex") // a client that comes and goes while it is held
	holder := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x")
	holder.start()
	holder.line("held")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	must(t, "stat", "m") // the holder is connected
	if err := holder.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	holder.end()
	if code, _ := p.end(); code != 0 || !strings.Contains(p.stderr.String(), "the process tree is gone") {
		t.Errorf("after all have gone: exit %d, stderr %q", code, p.stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the socket: %v", err)
	}
}
