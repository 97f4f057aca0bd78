package protocol

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// callerVariable turns this test binary into a program that makes calls: each
// line of its input is a JSON list of a method and its parameters, each line of
// its output the status and its text.
const callerVariable = "SHMD_PROTOCOL_CALLER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(callerVariable); socket != "" {
		if err := makeCalls(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if socket := os.Getenv(fillerVariable); socket != "" {
		if err := fill(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func makeCalls(socket string) error {
	ctx := context.Background()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: socket})
	if err != nil {
		fmt.Println(status.Of(err).Name(), err)
		return nil
	}
	fmt.Println("OK")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var call []any
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			return err
		}
		for i, x := range call {
			if f, ok := x.(float64); ok {
				call[i] = int(f)
			}
			if options, ok := x.(map[string]any); ok && options["ticket"] != nil { // bytes, as JSON has them
				ticket, err := base64.StdEncoding.DecodeString(options["ticket"].(string))
				if err != nil {
					return err
				}
				options["ticket"] = ticket
			}
		}
		if err := c.Call(ctx, call[0].(string), nil, call[1:]...); err != nil {
			fmt.Println(status.Of(err).Name(), err)
		} else {
			fmt.Println("OK")
		}
	}
	return c.Close()
}

// public is a directory that every user may enter.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copySelf puts this test binary where another user may run it.
func copySelf(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "caller")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// caller is a child that makes calls as some user.
type caller struct{ *harness.Process }

// call wants a status, and texts separated by "|".
func (c caller) call(t *testing.T, code status.Code, texts string, call ...any) {
	t.Helper()
	line, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	wantLine(t, c.Ask(string(line)), code, texts)
}

func wantLine(t *testing.T, answer string, code status.Code, texts string) {
	t.Helper()
	name, text, _ := strings.Cut(answer, " ")
	if name != code.Name() {
		t.Errorf("answered %q, want %s", answer, code.Name())
		return
	}
	for want := range strings.SplitSeq(texts, "|") {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
}

// Nobody's ids, on every distribution.
const nobody = 65534

// startCaller starts one, as nobody if this process may become nobody.
func startCaller(t *testing.T, program, socket string, root bool) caller {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), callerVariable+"="+socket)
	cmd.Dir = "/"
	if root {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return caller{harness.StartCmd(t, cmd)}
}

// Mode and owner decide, as for files; who is not the owner neither removes nor
// chmods, whatever the mode; each user has a quota of his own.
func TestPermissions(t *testing.T) {
	root := os.Getuid() == 0
	dir := public(t)
	program := copySelf(t, dir)
	s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666, QuotaObjects: 5})
	p := dial(t, s.Socket()).greet()
	for name, mode := range map[string]int{"private": 0o600, "readable": 0o644, "shared": 0o666, "group": 0o660} {
		p.must(wire.MethodCreate, name, "value", m{"code": "i", "mode": mode, "init": 5})
	}
	c := startCaller(t, program, s.Socket(), root)
	c.Expect("OK")
	read := m{"access": "r"}
	if root {
		const who = "uid 65534; the object is of uid 0, gid 0"
		for _, name := range []string{"private", "group"} {
			c.call(t, status.Permission, name+"|does not allow reading to others|ask its owner for chmod|"+who,
				"open", name, read)
			c.call(t, status.Permission, name+"|"+who, "open", name)
			c.call(t, status.Permission, name, "open_or_create", name, "value", m{"code": "i"})
		}
		c.call(t, status.Permission, `readable|mode 0644|access "r"`, "open", "readable")
		c.call(t, status.OK, "", "open", "readable", read) // handle 1
		c.call(t, status.Permission, `readable|open it with "rw"`, "set", 1, 0, 6)
		c.call(t, status.OK, "", "open", "shared") // handle 2
		c.call(t, status.OK, "", "set", 2, 0, 6)
		for _, name := range []string{"private", "readable", "shared"} {
			for _, call := range [][]any{{"unlink", name}, {"destroy", name}, {"chmod", name, 0o666}} {
				c.call(t, status.Permission, name+"|only its owner (uid 0) and root|you are uid 65534", call...)
			}
		}
		p.must(wire.MethodChmod, "private", 0o606)
		c.call(t, status.OK, "", "open", "private")
		p.must(wire.MethodCreate, "last", "mutex", m{})
		p.refuses(status.Quota, "user 0 has 5 of at most 5", wire.MethodCreate, "more", "mutex", m{})
		c.call(t, status.OK, "", "create", "nobody/s", "mutex", m{})
	} else {
		t.Logf("uid %d cannot become another user: only what a user may keep from himself is tested", os.Getuid())
		c.call(t, status.OK, "", "open", "private")
		p.must(wire.MethodCreate, "last", "value", m{"code": "i"})
		p.must(wire.MethodChmod, "last", 0o066)
		c.call(t, status.Permission, "last|to its owner|ask its owner for chmod", "open", "last")
		c.call(t, status.Permission, "last|to its owner", "open", "last", read)
		c.call(t, status.Quota, "5 of at most 5", "create", "more", "mutex", m{})
		c.call(t, status.OK, "", "chmod", "last", 0o400)
		c.call(t, status.Permission, `last|access "r"`, "open", "last")
		c.call(t, status.OK, "", "open", "last", read)
	}
	c.MustEnd()
}

// A ticket is for who may read the object, and lets nobody in who may not.
func TestTicketPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("uid %d cannot become another user, who has a ticket", os.Getuid())
	}
	dir := public(t)
	s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666, QuotaTickets: 1})
	p := dial(t, s.Socket()).greet()
	p.must(wire.MethodCreate, "secret", "mutex", m{"mode": 0o600})
	p.must(wire.MethodCreate, "public", "mutex", m{"mode": 0o644})
	c := startCaller(t, copySelf(t, dir), s.Socket(), true)
	c.Expect("OK")
	ticket := func(name string) []byte {
		var r wire.TicketResult
		if err := wire.Decode(p.must(wire.MethodTicket, name), &r); err != nil {
			t.Fatal(err)
		}
		return r.Ticket
	}
	given := ticket("secret")
	c.call(t, status.Permission, "secret|mode 0600", "ticket", "secret")
	c.call(t, status.Permission, "secret|mode 0600", "open", "secret", m{"ticket": given})
	p.must(wire.MethodOpen, "secret", m{"ticket": given}) // it is as it was
	c.call(t, status.OK, "", "ticket", "public")
	c.call(t, status.Quota, "public|user 65534 has 1 of at most 1 tickets", "ticket", "public")
	given = ticket("public") // charged to another
	c.call(t, status.Permission, "public|mode 0644", "open", "public", m{"ticket": given})
	c.call(t, status.OK, "", "open", "public", m{"ticket": given, "access": "r"})
	c.call(t, status.NotFound, "no such ticket", "open", "public", m{"ticket": given, "access": "r"})
	c.MustEnd()
}

// The socket's own mode keeps other users out, and they are told so.
func TestSocketMode(t *testing.T) {
	root := os.Getuid() == 0
	dir := public(t)
	program := copySelf(t, dir)
	s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock")})
	if root {
		c := startCaller(t, program, s.Socket(), root)
		wantLine(t, c.Line(), status.Permission, "this user may not use "+s.Socket())
		return
	}
	t.Logf("uid %d cannot become another user: the mode is taken from everybody", os.Getuid())
	if err := os.Chmod(s.Socket(), 0); err != nil {
		t.Fatal(err)
	}
	c := startCaller(t, program, s.Socket(), root)
	wantLine(t, c.Line(), status.Permission, "this user may not use "+s.Socket())
}

// Root gives an object away and with it what it is charged for; an owner keeps it, and
// chooses among his groups.
func TestChown(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("uid %d cannot become another user, to whom an object is given", os.Getuid())
	}
	dir := public(t)
	s := serve(t, daemon.Config{Socket: filepath.Join(dir, "shmd.sock"), SocketMode: 0o666, QuotaObjects: 3})
	p := dial(t, s.Socket()).greet()
	p.must(wire.MethodCreate, "a", "value", m{"code": "i"})
	p.must(wire.MethodCreate, "q", "queue", m{"slot_size": 8, "message_max": 1 << 20})
	c := startCaller(t, copySelf(t, dir), s.Socket(), true)
	c.Expect("OK")
	c.call(t, status.Permission, "a|only its owner (uid 0) and root may chown it", "chown", "a", nobody, -1)
	p.must(wire.MethodChown, "a", nobody, nobody)
	c.call(t, status.OK, "", "open", "a") // handle 1
	c.call(t, status.OK, "", "chown", "a", nobody, nobody)
	c.call(t, status.Permission, "a|only root may give it to another user", "chown", "a", 0, -1)
	c.call(t, status.Permission, "a|are not of group 0", "chown", "a", -1, 0)
	c.call(t, status.Invalid, "a|gid is -2", "chown", "a", -1, -2)
	p.refuses(status.Invalid, "uid is 4294967295", wire.MethodChown, "a", uint32(1<<32-1), -1)
	// With a queue goes its side segment.
	p.must(wire.MethodOpen, "q")
	p.must(wire.MethodPut, 3, strings.Repeat("x", 4096))
	p.must(wire.MethodCreate, "b", "mutex", m{})
	p.refuses(status.Quota, "user 0 has 3 of at most 3", wire.MethodCreate, "d", "mutex", m{})
	p.must(wire.MethodChown, "q", nobody, -1)
	c.call(t, status.Quota, "3 of at most 3", "create", "c", "mutex", m{})
	for _, name := range []string{"d", "e"} {
		p.must(wire.MethodCreate, name, "mutex", m{})
	}
	// Who has no room is given nothing, and the giver keeps what he has.
	p.refuses(status.Quota, "user 65534 has 3 of at most 3", wire.MethodChown, "b", nobody, -1)
	p.refuses(status.Quota, "user 0 has 3 of at most 3", wire.MethodCreate, "f", "mutex", m{})
	c.call(t, status.OK, "", "set", 1, 0, 6) // who has it open goes on
	p.must(wire.MethodClose, 2)
	p.must(wire.MethodClose, 3)
	c.call(t, status.OK, "", "destroy", "q")
	c.call(t, status.OK, "", "create", "c", "mutex", m{})
	c.MustEnd()
}
