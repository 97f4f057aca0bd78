package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestSendRecv(t *testing.T) {
	startDaemon(t)
	must(t, "create", "f", "stream", "--capacity", "4K")
	expect(t, "", "send", "f", "one", "-2", "", "two words")
	expect(t, "one\n-2\n", "recv", "f", "-n", "2")
	wantJSON(t, must(t, "recv", "f", "--json"), map[string]any{"name": "f", "kind": "stream", "base64": ""})
	expect(t, "two words\x00", "recv", "f", "--null")
	if r := invoke(t, "recv", "f"); r.code != exitFailure || !strings.Contains(r.stderr, "retired") {
		t.Errorf("the end: %+v", r)
	}
	if r := invoke(t, "recv", "f", "--nonblock"); r.code != exitTemporary || !strings.Contains(r.stderr, `recv "f"`) {
		t.Errorf("recv of nothing: %+v", r)
	}
	if r := invokeInput(t, "a\r\n\n\xff\x00\nno end", "send", "f"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	expect(t, "a\r\n\n\xff\x00\nno end\n", "recv", "f", "--follow")
	wantJSON(t, must(t, "send", "f", "1", "2", "--json"), map[string]any{"name": "f", "count": 2})
	if r := invoke(t, "send", "f", "--nonblock", strings.Repeat("x", 2041)); r.code != exitFailure ||
		!strings.Contains(r.stderr, "2040") {
		t.Errorf("too long: %+v", r)
	}
	text := must(t, "stat", "f")
	for _, part := range []string{"messages of at most 2040 bytes, in 1 ring of 4096 bytes",
		"40 bytes under way, from nobody, to nobody, its sender has ended"} {
		if !strings.Contains(text, part) {
			t.Errorf("stat lacks %q:\n%s", part, text)
		}
	}
	expect(t, "1\n2\n", "recv", "f", "--follow")
	if r := invoke(t, "recv", "f", "--end", "a", "--nonblock"); r.code != exitUsage {
		t.Errorf("an end of a stream: %+v", r)
	}
	if r := invoke(t, "recv", "f", "--end", "c"); r.code != exitUsage {
		t.Errorf("no end: %+v", r)
	}
	must(t, "create", "q", "queue")
	if r := invoke(t, "send", "q", "x"); r.code != exitFailure || !strings.Contains(r.stderr, "a stream or a pipe") {
		t.Errorf("send to a queue: %+v", r)
	}
}

// More than fits goes through while somebody reads, and a role is one process's.
func TestSendWaitsForRoom(t *testing.T) {
	startDaemon(t)
	must(t, "create", "f", "stream", "--capacity", "4K")
	long := strings.Repeat("x", 2000)
	if r := invoke(t, "send", "f", "--nonblock", long, long, long); r.code != exitTemporary ||
		!strings.Contains(r.stderr, "message 3 of 3") {
		t.Errorf("send to a full stream: %+v", r)
	}
	expect(t, long+"\n"+long+"\n", "recv", "f", "--follow")
	p := spawn(t, "recv", "f", "--follow")
	p.start()
	awaitStat(t, "f", "to process")
	if r := invoke(t, "recv", "f"); r.code != exitFailure || !strings.Contains(r.stderr, "taken") {
		t.Errorf("a role that is taken: %+v", r)
	}
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&lines, i)
	}
	if r := invokeInput(t, lines.String(), "send", "f"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if code, got := p.end(); code != 0 || got != lines.String() || p.stderr.Len() > 0 {
		t.Errorf("received: exit %d, stderr %q, %d bytes of %d", code, p.stderr, len(got), lines.Len())
	}
}

// awaitStat waits until stat says something.
func awaitStat(t *testing.T, name, part string) {
	t.Helper()
	for t.Context().Err() == nil {
		if strings.Contains(must(t, "stat", name), part) {
			return
		}
	}
}

func TestPipe(t *testing.T) {
	startDaemon(t)
	must(t, "create", "talk", "pipe")
	expect(t, "", "send", "talk", "--end", "b", "hello", "there")
	expect(t, "hello\nthere\n", "recv", "talk", "--follow")
	if r := invoke(t, "send", "talk", "x"); r.code != exitFailure || !strings.Contains(r.stderr, "claimed once") {
		t.Errorf("both ends are gone: %+v", r)
	}
	if r := invoke(t, "pipe", "talk"); r.code != exitFailure {
		t.Errorf("bytes through a pipe of messages: %+v", r)
	}

	must(t, "create", "tube", "pipe", "--bytes", "--capacity", "4K")
	big := strings.Repeat("0123456789", 5_000) // more than the ring, and less than stdout takes
	p := spawn(t, "pipe", "tube", "--end", "b")
	p.start()
	awaitStat(t, "tube", "to process")
	if r := invokeInput(t, big, "pipe", "tube", "--end", "a", "--close"); r.code != 0 || r.stdout != "" {
		t.Errorf("%d, %q, %d bytes", r.code, r.stderr, len(r.stdout))
	}
	if code, got := p.end(); code != 0 || got != big || p.stderr.Len() > 0 {
		t.Errorf("received: exit %d, stderr %q, %d bytes", code, p.stderr, len(got))
	}
	if text := must(t, "stat", "tube"); !strings.Contains(text, "a to b") || !strings.Contains(text, "b to a") {
		t.Errorf("stat:\n%s", text)
	}
	if r := invoke(t, "recv", "tube"); r.code != exitFailure {
		t.Errorf("messages from a pipe of bytes: %+v", r)
	}
}
