package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scribble writes into the segment of an object of a daemon in this process.
func scribble(t *testing.T, name string, offset int64, bytes ...byte) {
	t.Helper()
	id, ok := decode(t, must(t, "stat", name, "--json"))["id"].(json.Number)
	if !ok {
		t.Fatal("stat tells no id")
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, fmt.Sprintf("/memfd:shmd-%s ", id)) {
			continue
		}
		f, err := os.OpenFile(link, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(bytes, offset); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no segment of %s", name)
}

func TestFsck(t *testing.T) {
	startDaemon(t)
	expect(t, "", "fsck")
	must(t, "create", "q", "queue", "--maxsize", "4")
	must(t, "create", "m", "mutex")
	must(t, "put", "q", "1", "2")
	expect(t, "ok  m  all words are in order\nok  q  all words are in order\n", "fsck")
	expect(t, "ok  q  all words are in order\n", "fsck", "--repair", "q")
	settle(t, 0) // recovery of who leaves puts some things right, too
	scribble(t, "q", 0x150, 99)
	r := invoke(t, "fsck")
	if r.code != exitFailure || r.stderr != "" || !strings.Contains(r.stdout, "ok   m  all words") ||
		!strings.Contains(r.stdout, "bad  q  ready_head (byte 336): ") ||
		!strings.Contains(r.stdout, "-> --repair makes") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = invoke(t, "fsck", "q", "--json")
	findings, _ := decode(t, r.stdout)["findings"].([]any)
	if r.code != exitFailure || len(findings) == 0 {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if out := must(t, "fsck", "--repair"); !strings.Contains(out, "was bad  q  ready_head") ||
		!strings.Contains(out, "ok       q  all words are in order now") {
		t.Errorf("repair prints\n%s", out)
	}
	expect(t, "1\n", "take", "q", "--timeout", "0")
	settle(t, 0)
	scribble(t, "m", 0x100, 60, 16)
	expect(t, "was bad   m  lock.word (byte 256): it names seat 60 in generation 1, which is no client's\n"+
		"repaired  m  whoever takes the lock next is told that an owner died\n"+
		"ok        m  all words are in order now\n", "reset", "m")
	expect(t, "ok  m  all words are in order\n", "reset", "m")
	if r := invoke(t, "fsck", "nobody", "m"); r.code != exitFailure || !strings.Contains(r.stdout, "ok  m") ||
		!strings.Contains(r.stderr, "nobody") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
