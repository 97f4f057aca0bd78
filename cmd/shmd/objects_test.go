package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

func TestCreateGetSet(t *testing.T) {
	startDaemon(t)
	expect(t, "", "create", "x", "value", "--code", "i", "--init", "-5")
	expect(t, "-5\n", "get", "x")
	expect(t, "", "set", "x", "-7")
	expect(t, "-7\n", "set", "x", "--add", "-3")
	expect(t, "-10\n", "get", "x")
	expect(t, "", "--json=false", "set", "x", "--", "-1")
	expect(t, "-1\n", "get", "x", "0")

	expect(t, "", "create", "count", "value", "--code", "Q", "--init", "18446744073709551615")
	expect(t, "18446744073709551615\n", "set", "count", "--add", "-1")
	expect(t, "18446744073709551614\n", "get", "count")
	expect(t, "18446744073709551614\n", "set", "count", "--add", "0x1")

	expect(t, "", "create", "grid", "array", "--code", "f64", "--shape", "2x3", "--init", "1,2.5,-inf")
	expect(t, "1 2.5 -inf\n0 0 0\n", "get", "grid")
	expect(t, "", "set", "grid", "1,2", "-0.5")
	expect(t, "-0.5\n", "get", "grid", "5")
	expect(t, "", "set", "grid", "3", "7", "-8")
	expect(t, "7\n-8\n", "get", "grid", "3:5")
	expect(t, "-inf\n7\n-8\n-0.5\n", "get", "grid", "2:")

	expect(t, "", "create", "text", "array", "--code", "c", "--length", "4", "--init", `h,i,\x2c`)
	expect(t, "h\ni\n,\n\\x00\n", "get", "text")
	expect(t, "", "set", "text", "2", "o", "!")
	expect(t, "o\n!\n", "get", "text", "2:")

	expect(t, "", "create", "flag", "value", "--code", "?")
	expect(t, "", "set", "flag", "true")
	expect(t, "true\n", "get", "flag")

	for code, value := range map[string]string{"c": "x", "b": "-128", "B": "255", "u": "é", "h": "-1", "H": "65535",
		"i": "1", "I": "4294967295", "l": "-1", "L": "18446744073709551615", "q": "-9223372036854775808",
		"Q": "1", "f": "0.1", "d": "1e+300", "?": "true", "e": "0.5"} {
		name := fmt.Sprintf("code-%d", code[0])
		must(t, "create", name, "value", "--code", code, "--init", value)
		expect(t, value+"\n", "get", name)
		must(t, "create", name+"a", "array", "--code", code, "--length", "2")
		must(t, "set", name+"a", "0", value, value)
		expect(t, value+"\n"+value+"\n", "get", name+"a")
	}
}

// An array that no message holds is read in parts.
func TestGetInParts(t *testing.T) {
	startDaemon(t)
	must(t, "create", "big", "array", "--code", "d", "--length", fmt.Sprint(2*readMax+7))
	must(t, "set", "big", fmt.Sprint(2*readMax+6), "0.25")
	must(t, "set", "big", fmt.Sprint(readMax), "0.5")
	settle(t, 0) // the end of a client counts as a change
	lines := strings.Split(must(t, "get", "big"), "\n")
	if len(lines) != 2*readMax+8 || lines[readMax] != "0.5" || lines[2*readMax+6] != "0.25" || lines[0] != "0" {
		t.Errorf("%d lines, %q at %d, %q at the end", len(lines), lines[readMax], readMax, lines[len(lines)-2])
	}
}

// decode reads one JSON document.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		t.Fatalf("not one JSON document: %q (%v)", text, err)
	}
	return v
}

func wantJSON(t *testing.T, text string, want map[string]any) {
	t.Helper()
	got := decode(t, text)
	for key, value := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v, in %s", key, got[key], value, text)
		}
	}
}

func TestJSON(t *testing.T) {
	startDaemon(t)
	wantJSON(t, must(t, "create", "m", "mutex", "--recursive", "--mode", "0660", "--json"),
		map[string]any{"name": "m", "kind": "mutex", "created": true, "mode": 0o660, "flags": "[recursive]"})
	wantJSON(t, must(t, "create", "a", "array", "--code", "f", "--length", "3", "--init", "0.1,inf", "--lock", "@m",
		"--json"), map[string]any{"shape": "[3]", "lock": "foreign", "code": "f", "seats_max": 64})
	wantJSON(t, must(t, "create", "m", "mutex", "--recursive", "--exist-ok", "--json"),
		map[string]any{"created": false})
	wantJSON(t, must(t, "get", "a", "--json"), map[string]any{"name": "a", "values": "[0.1 inf 0]", "dirty": false})
	wantJSON(t, must(t, "get", "a", "0", "--json"), map[string]any{"index": 0, "value": "0.1"})
	wantJSON(t, must(t, "set", "a", "1", "2", "3", "--json"), map[string]any{"index": 1, "count": 2})
	wantJSON(t, must(t, "set", "a", "1", "--add", "0.5", "--json"), map[string]any{"before": 2})
	settle(t, 0)
	wantJSON(t, must(t, "stat", "m", "--json"), map[string]any{"state": "live", "linked": true, "held": nil,
		"last_death": nil, "seats": "[]", "waiters": 0, "kind": "mutex"})
	wantJSON(t, must(t, "status", "--json"), map[string]any{"objects": 2, "server": daemon.Version, "deaths": 0})
	settle(t, 0)
	lines := strings.Split(must(t, "clients", "--json"), "\n") // the settling one may be there still
	wantJSON(t, lines[len(lines)-2], map[string]any{"software": "shmd clients", "objects": 0, "zombie": false})
	wantJSON(t, must(t, "version", "--json"), map[string]any{"protocol": wire.VersionMax})
	if got := strings.Count(must(t, "ls", "--json"), "\n"); got != 2 {
		t.Errorf("ls --json has %d lines, want 2", got)
	}
	wantJSON(t, must(t, "rm", "a", "--json"), map[string]any{"removed": "a", "destroyed": false})
	wantJSON(t, must(t, "rm", "m", "--destroy", "--json"), map[string]any{"removed": "m", "destroyed": true})

	r := invoke(t, "stat", "m", "--json")
	failure, ok := decode(t, r.stderr)["error"].(map[string]any)
	if r.code != exitFailure || r.stdout != "" || !ok || fmt.Sprint(failure["code"]) != "25" ||
		failure["name"] != "NOT_FOUND" || !strings.Contains(fmt.Sprint(failure["text"]), `"m"`) {
		t.Errorf("an error as JSON: %+v", r)
	}
	r = invoke(t, "stat", "--nope", "--json")
	failure, ok = decode(t, r.stderr)["error"].(map[string]any)
	if r.code != exitUsage || !ok || failure["name"] != "INVALID" {
		t.Errorf("wrong usage as JSON: %+v", r)
	}
}

func TestLs(t *testing.T) {
	startDaemon(t)
	c := dial(t)
	const many = wire.ListPage + 10
	for i := range many {
		if err := c.Call(t.Context(), wire.MethodCreate, nil, fmt.Sprintf("many/%04d", i), wire.KindMutex,
			wire.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "create", "other", "array", "--code", "d", "--shape", "3x4", "--lock", "none", "--mode", "0640")
	lines := strings.Split(strings.TrimSpace(must(t, "ls", "many/")), "\n")
	if len(lines) != many+1 || !strings.HasPrefix(lines[many], fmt.Sprintf("many/%04d ", many-1)) {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	lines = strings.Split(must(t, "ls", "o"), "\n")
	if got := strings.Fields(lines[0]); strings.Join(got, " ") != "NAME KIND TYPE SHAPE LOCK SIZE MODE OWNER LIFETIME" {
		t.Errorf("header %q", got)
	}
	if got := strings.Fields(lines[1]); len(got) != 9 || strings.Join(got[:5], " ") != "other array d 3x4 none" ||
		got[6] != "0640" || got[8] != "persistent" {
		t.Errorf("row %q", got)
	}
	if header := strings.Fields(must(t, "ls", "-l", "o")); header[9] != "ID" {
		t.Errorf("ls -l: %q", header)
	}
}

func TestStat(t *testing.T) {
	startDaemon(t)
	must(t, "create", "v", "value", "--code", "i")
	c := dial(t)
	var open wire.Attachment
	if err := c.Call(t.Context(), wire.MethodOpen, &open, "v"); err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), wire.MethodLock, nil, open.Handle); err != nil {
		t.Fatal(err)
	}
	settle(t, 1)
	text := must(t, "stat", "v")
	for _, want := range []string{"i (int, 4 bytes)", "held:      by process ", "depth 1", "1 of 64 taken, 1 handle",
		"SEAT", "state:     live"} {
		if !strings.Contains(text, want) {
			t.Errorf("stat lacks %q:\n%s", want, text)
		}
	}
	byID := must(t, "stat", fmt.Sprintf("id:%d", open.ID))
	if !strings.Contains(byID, "name:      v\n") {
		t.Errorf("by id:\n%s", byID)
	}
	if err := c.Call(t.Context(), wire.MethodUnlock, nil, open.Handle); err != nil {
		t.Fatal(err)
	}
	if text = must(t, "stat", "v"); !strings.Contains(text, "by nobody") {
		t.Errorf("still held:\n%s", text)
	}
	text = must(t, "status")
	if !strings.Contains(text, ", 0 zombies\n") || !strings.Contains(text, " of 67108864 bytes") {
		t.Errorf("status:\n%s", text)
	}
	text = must(t, "clients")
	if !strings.Contains(text, filepath.Base(os.Args[0])) || !strings.Contains(text, "shmd clients") {
		t.Errorf("clients:\n%s", text)
	}
}

func TestRm(t *testing.T) {
	startDaemon(t)
	must(t, "create", "a", "mutex")
	must(t, "create", "b", "mutex")
	r := invoke(t, "rm", "a", "nope", "b")
	if r.code != exitFailure || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, `"nope"`) {
		t.Errorf("%+v", r)
	}
	expect(t, "", "ls", "--json")
}

// Exit codes and messages of everything that can be typed wrongly.
func TestMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "byte", "value", "--code", "B", "--init", "1")
	must(t, "create", "word", "value", "--code", "I", "--init", "4294967295")
	must(t, "create", "a", "array", "--code", "h", "--shape", "2x3")
	must(t, "create", "bare", "value", "--code", "i", "--lock", "none")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"", 2, "which command"},
		{"lss", 2, "did you mean ls"},
		{"ls --nope", 2, "unknown flag: --nope"},
		{"ls a b", 2, "accepts at most 1 arg"},
		{"stat", 2, "accepts 1 arg"},
		{"stat id:x", 2, "want id:N"},
		{"stat nope", 1, `"nope": no such object`},
		{"stat ../x", 1, "malformed object name"},
		{"completion nope", 2, "nope"},
		{"completion", 2, "which shell"},
		{"create m mutex", 1, "object exists"},
		{"create m mutex --exist-ok --strict", 1, "other options"},
		{"create y thing", 2, "want one of value, array, mutex, semaphore, queue, event"},
		{"create y value", 2, "--code"},
		{"create y value --code z", 2, "z"},
		{"create y value --code B --init 256", 1, "0 to 255"},
		{"create y array --code B", 2, "--length"},
		{"create y array --code B --length 2 --shape 2", 2, "shape"},
		{"create y array --code B --length 2 --init 1,2,3", 1, "3"},
		{"create y array --code B --shape 2xx", 2, "3x4"},
		{"create y mutex --init 1", 2, "no --init"},
		{"create y queue --code i", 2, "no --code"},
		{"create y queue --strict", 1, "strict is no option of a queue"},
		{"create y queue --content json", 1, "msgpack or raw"},
		{"create y queue --maxsize 0", 1, "65536"},
		{"create y queue --slot-size 8G", 2, "4G"},
		{"create y queue --message-max 2G", 1, "2147483648"},
		{"create y queue --deliveries-max 255", 1, "254"},
		{"create y semaphore --initial 3 --maximum 2", 1, "2"},
		{"create y semaphore --undo=maybe", 2, "undo"},
		{"create y mutex --mode 999", 2, "octal"},
		{"create y mutex --mode 1777", 2, "octal"},
		{"create y mutex --lifetime never", 1, "never"},
		{"create y value --code i --lock @nope", 1, "no such object"},
		{"get m", 1, "it is a mutex"},
		{"get byte 1", 1, `get "byte": index out of range: 1 is not within 0 to 0`},
		{"get a 6", 1, "not within 0 to 5"},
		{"get a 2,0", 1, "not within 0 to 1"},
		{"get a 1,1,1", 1, "2 dimensions"},
		{"get a x", 2, "no index"},
		{"get a 1:9", 1, "0:6"},
		{"get a x:", 2, "START:END"},
		{"set byte 256", 1, "0 to 255"},
		{"set byte -1", 1, "0 to 255"},
		{"set byte 1.5", 1, "an integer"},
		{"set byte 1 2", 2, "no index"},
		{"set byte", 2, "VALUE"},
		{"set byte 1 --add 1", 2, "no VALUE"},
		{"set byte --add 1", 1, "not supported"},
		{"set word --add 1", 1, "4294967295"},
		{"set word --add x", 1, "x"},
		{"set a 0", 2, "VALUE"},
		{"set a 0 1 2 40000", 1, "-32768 to 32767"},
		{"set a 5 1 2", 1, "index"},
		{"rm", 2, "at least 1 arg"},
		{"lock m", 2, "COMMAND"},
		{"lock m --", 2, "COMMAND"},
		{"lock m true", 2, "--"},
		{"lock -- true", 2, "NAME"},
		{"lock m a -- true", 2, "one NAME"},
		{"lock m --timeout soon -- true", 2, "duration"},
		{"lock m --timeout 1s --nonblock -- true", 2, "nonblock"},
		{"lock nope -- true", 1, "no such object"},
		{"lock bare -- true", 1, "not supported"},
		{"serve x", 2, "unknown"},
		{"serve --budget 5X", 2, "512M"},
		{"serve --without sleep", 2, "futex_waitv"},
		{"serve --log-level loud", 2, "debug"},
		{"serve --socket-owner nobody-of-that-name", 2, "nobody-of-that-name"},
		{"serve --ready-fd 987", 2, "987"},
		{"serve --lifeline-fd 987", 2, "--lifeline-fd 987"},
		{"serve", exitUnavailable, "another shmd daemon"},
		{"--socket /nonexistent/s status", 1, "shmd serve"},
	} {
		r := invoke(t, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) || !strings.HasPrefix(r.stderr, "shmd: ") {
			t.Errorf("shmd %s: exit %d, want %d; stderr %q, want %q in it", c.args, r.code, c.code, r.stderr, c.text)
		}
		if c.args != "" && r.stdout != "" {
			t.Errorf("shmd %s: stdout %q", c.args, r.stdout)
		}
	}
	// Nothing of it was done.
	expect(t, "1\n", "get", "byte")
	expect(t, "4294967295\n", "get", "word")
	expect(t, "0 0 0\n0 0 0\n", "get", "a")
}
