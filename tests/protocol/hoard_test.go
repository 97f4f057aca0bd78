package protocol

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestHoardedDescriptors asks for more descriptors than the kernel lets the daemon have
// under way, and receives none: others are told so when they map, lose nothing by it, open
// all the same, and map as soon as the hoarder is gone.
func TestHoardedDescriptors(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a daemon as nobody: one of this user may be allowed more")
	}
	dir := public(t)
	binary, err := os.ReadFile(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "shmd")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	const files = 128
	limited := filepath.Join(dir, "limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec '%s' \"$@\"\n", files, program)
	if err := os.WriteFile(limited, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(dir, "run")
	if err := os.Mkdir(sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(sockets, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	d := harness.StartDaemonWith(t, harness.DaemonOptions{Program: limited, Socket: filepath.Join(sockets, "s"),
		Flags: []string{"--keeper=none"}, Attr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}})
	witness := dial(t, d.Socket).greet()
	h := witness.attach(wire.MethodCreate, "m", "mutex", m{})
	hoarder := dial(t, d.Socket).greet()
	g := hoarder.attach(wire.MethodOpen, "m")
	one := hoarder.request(wire.MethodMap, g)
	hoarder.pour(bytes.Repeat(one, files))
	harness.Await(t, "too many descriptors are under way", func() bool {
		// No more at once: while one is on its way to the witness the hoarder may be refused, and
		// once refusals fill its socket it gets no more descriptors.
		hoarder.pour(one)
		r := witness.call(wire.MethodMap, h)
		if r.Err != nil {
			wantError(t, "map", nil, r.Err, status.Busy, "descriptors|try again")
		}
		return r.Err != nil
	})
	var opened wire.Attachment
	if err := wire.Decode(witness.must(wire.MethodOpen, "m", m{"map": true}), &opened); err != nil || opened.Fds != 0 {
		t.Errorf("open brought %d descriptors, %v", opened.Fds, err)
	}
	witness.must(wire.MethodLock, h)
	hoarder.conn.Close()
	harness.Await(t, "others map again", func() bool { return witness.call(wire.MethodMap, h).Err == nil })
	// Nobody may not look at what this process has mapped, and takes it for a zombie.
	d.Kill()
}
