package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/wire"
)

func TestPutTake(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue", "--slot-size", "4K")
	expect(t, "", "put", "q", `{"b":[1,2.0,{"é":"<&>"}],"a":null}`, "9223372036854775808", "-9223372036854775808", "-1")
	expect(t, `{"b":[1,2.0,{"é":"<&>"}],"a":null}`+"\n9223372036854775808\n", "take", "q", "-n", "2")
	expect(t, "-9223372036854775808\n-1\n", "take", "q", "--count", "2", "--timeout", "1m")
	if r := invoke(t, "take", "q", "--nonblock"); r.code != exitTemporary || !strings.Contains(r.stderr, `take "q"`) {
		t.Errorf("take of an empty queue: %+v", r)
	}
	if r := invoke(t, "take", "q", "-w", "0.02"); r.code != exitTemporary || r.stdout != "" {
		t.Errorf("take of an empty queue, in time: %+v", r)
	}
	expect(t, "", "put", "q", "-w", "5", "-1", "-2.5")
	if r := invoke(t, "take", "q", "-n", "3", "--nonblock"); r.code != exitTemporary || r.stdout != "-1\n-2.5\n" {
		t.Errorf("take of more than there is: %+v", r)
	}

	// Nothing of a line of arguments is put if one is wrong; of stdin, what was before.
	if r := invoke(t, "put", "q", "1", "NaN"); r.code != exitFailure || !strings.Contains(r.stderr, "NaN") {
		t.Errorf("NaN: %+v", r)
	}
	if r := invokeInput(t, "1\n\n \n[2]\r\nthree\n4\n", "put", "q"); r.code != exitFailure ||
		!strings.Contains(r.stderr, "line 5 of stdin") {
		t.Errorf("a wrong line: %+v", r)
	}
	if r := invoke(t, "take", "q", "-n", "9", "--nonblock"); r.stdout != "1\n[2]\n" {
		t.Errorf("after a wrong line: %+v", r)
	}
	wantJSON(t, must(t, "put", "q", "1", `["x"]`, "null", "--json"), map[string]any{"name": "q", "count": 3})
	must(t, "take", "q")
	wantJSON(t, must(t, "take", "q", "--json"),
		map[string]any{"name": "q", "kind": "queue", "message": "[x]", "deliveries": 1})
	expect(t, "null\n", "take", "q")
	if r := invoke(t, "put", "q", `"`+strings.Repeat("x", 5000)+`"`); r.code != exitFailure ||
		!strings.Contains(r.stderr, "4096") {
		t.Errorf("too large: %+v", r)
	}
	r := invokeInput(t, strings.Repeat("x", lineMax+1), "put", "q")
	if r.code != exitFailure || !strings.Contains(r.stderr, "line 1 of stdin has more than") {
		t.Errorf("a line without end: exit %d, %.200s", r.code, r.stderr)
	}
}

func TestPutWaitsForRoom(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue", "--maxsize", "2")
	for _, wait := range [][]string{{"--nonblock"}, {"--timeout", "20ms"}} {
		r := invoke(t, append([]string{"put", "q", "1", "2", "3"}, wait...)...)
		if r.code != exitTemporary || !strings.Contains(r.stderr, "message 3 of 3") {
			t.Errorf("put %q into a full queue: %+v", wait, r)
		}
		expect(t, "1\n2\n", "take", "q", "-n", "2")
	}
	const many = 500
	p := spawn(t, "take", "q", "--follow")
	p.start()
	var lines strings.Builder
	for i := range many {
		fmt.Fprintln(&lines, i)
	}
	if r := invokeInput(t, lines.String(), "put", "q"); r.code != 0 {
		t.Errorf("put of more than fits at once: %+v", r)
	}
	must(t, "shutdown", "q")
	if code, got := p.end(); code != 0 || got != lines.String() || p.stderr.Len() > 0 {
		t.Errorf("taken: exit %d, stderr %q, %d bytes of %d", code, p.stderr, len(got), lines.Len())
	}
}

func TestRawQueue(t *testing.T) {
	startDaemon(t)
	must(t, "create", "raw", "queue", "--content", "raw")
	if r := invokeInput(t, "a\r\n\n\xff\x00\nno end", "put", "raw"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	expect(t, "a\r\n\n\xff\x00\nno end\n", "take", "raw", "-n", "4")
	if r := invokeInput(t, "a\nb\x00\x00c", "put", "raw", "--null"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	expect(t, "a\nb\x00\x00c\x00", "take", "raw", "-n", "3", "--null")
	must(t, "put", "raw", "NaN", "--", "--nonblock")
	expect(t, "NaN\n", "take", "raw")
	wantJSON(t, must(t, "take", "raw", "--json"), map[string]any{"base64": "LS1ub25ibG9jaw=="})
	// More than a pipe holds, and than a scanner's buffer does by itself.
	must(t, "create", "big", "queue", "--content", "raw", "--slot-size", "1M", "--maxsize", "4")
	big := strings.Repeat("x", 200_000)
	if r := invokeInput(t, big+"\n"+big, "put", "big"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	must(t, "take", "--lease", "big", "--", "true")
	expect(t, big+"\n", "take", "big")

	must(t, "put", "raw", "as it is")
	expect(t, "as it is", "take", "--lease", "raw", "--", "cat")
}

// An end is an error for who wants a message, and the end for who follows.
func TestShutdown(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "put", "q", "1", "2")
	expect(t, "", "shutdown", "q")
	wantJSON(t, must(t, "shutdown", "q", "--json"), map[string]any{"name": "q", "shutdown": true})
	if r := invoke(t, "put", "q", "3", "--json"); r.code != exitFailure || !strings.Contains(r.stderr, `"ENDED"`) {
		t.Errorf("put: %+v", r)
	}
	r := invoke(t, "take", "q", "-n", "3")
	if r.code != exitFailure || r.stdout != "1\n2\n" || !strings.Contains(r.stderr, "shut down") {
		t.Errorf("take: %+v", r)
	}
	expect(t, "", "take", "q", "--follow")
	expect(t, "", "take", "--lease", "--follow", "q", "--", "echo", "never")
	if r := invoke(t, "take", "--lease", "q", "--", "true"); r.code != exitFailure {
		t.Errorf("take --lease: %+v", r)
	}
	if text := must(t, "stat", "q"); !strings.Contains(text, "shut down") {
		t.Errorf("stat:\n%s", text)
	}
}

const showDelivery = `read m; echo "$m, $SHMD_DELIVERIES"; exit `

func TestTakeLease(t *testing.T) {
	startDaemon(t)
	t.Setenv(deliveriesVariable, "77") // an outer shmd's, which is not ours
	must(t, "create", "q", "queue", "--deliveries-max", "2")
	must(t, "put", "q", `{"a": 1}`, "2")
	for _, c := range []struct {
		words []string
		code  int
		text  string
	}{
		{[]string{"sh", "-c", showDelivery + "42"}, 42, "{\"a\":1}, 1\n"},
		{[]string{"sh", "-c", showDelivery + "0"}, 0, "{\"a\":1}, 2\n"},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"no-such-command"}, exitNotFound, ""},
		{[]string{"true"}, 0, ""}, // which never looks at its stdin
	} {
		r := invoke(t, append([]string{"take", "--lease", "q", "--nonblock", "--"}, c.words...)...)
		if r.code != c.code || r.stdout != c.text {
			t.Errorf("take --lease q -- %q: %+v, want exit %d and %q", c.words, r, c.code, c.text)
		}
	}
	if r := invoke(t, "take", "--lease", "q", "--nonblock", "--", "true"); r.code != exitTemporary {
		t.Errorf("nothing left: %+v", r)
	}
}

// What fails as often as it may becomes a dead letter.
func TestDeadLetters(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue", "--deliveries-max", "2")
	must(t, "put", "q", "1", "2", "3")
	must(t, "shutdown", "q")
	r := invoke(t, "take", "--lease", "--follow", "q", "--", "sh", "-c", `read m; echo "$m"; test $m != 2`)
	if r.code != 0 || r.stdout != "1\n2\n2\n3\n" || strings.Count(r.stderr, "the message goes back") != 2 {
		t.Errorf("a worker that fails: %+v", r)
	}
	wantJSON(t, must(t, "stat", "q", "--json"), map[string]any{"counts": "map[dead:1 free:1023 leased:0 " +
		"maxsize:1024 ready:0 shutdown:true writing:0]", "deliveries_max": 2})
	expect(t, "1\n", "redeliver", "q")
	wantJSON(t, must(t, "redeliver", "q", "--json"), map[string]any{"redelivered": 0})
	if r := invoke(t, "take", "--dead", "q"); r.code != exitTemporary {
		t.Errorf("no dead letter: %+v", r)
	}
	invoke(t, "take", "--lease", "--follow", "q", "--", "false")
	if r := invoke(t, "take", "--dead", "--lease", "q", "--", "false"); r.code != 1 {
		t.Errorf("a dead letter that fails: %+v", r)
	}
	if text := must(t, "stat", "q"); !strings.Contains(text, "0 ready, 0 leased, 0 being written, 1 dead letter;") {
		t.Errorf("stat:\n%s", text)
	}
	expect(t, "2\n", "take", "q", "--dead")
}

// A worker that is killed takes its command along, and its message goes to the next.
func TestTakeLeaseKilled(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "put", "q", "1", "2")
	p := spawn(t, "take", "--lease", "q", "--", "sh", "-c", "read m; echo $m; kill -STOP $$; echo survived")
	p.start()
	p.line("1")
	if text := must(t, "stat", "q"); !strings.Contains(text, "1 ready, 1 leased") {
		t.Errorf("stat:\n%s", text)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, rest := p.end(); code != -1 || rest != "" {
		t.Errorf("the killed worker: exit %d, output %q", code, rest)
	}
	settle(t, 0)
	wantJSON(t, must(t, "take", "q", "--json"), map[string]any{"message": 1, "deliveries": 2})
	wantJSON(t, must(t, "take", "q", "--json"), map[string]any{"message": 2, "deliveries": 1})
}

// spin waits for a signal without needing stdin, which is the message.
const spin = "echo held; while :; do :; done"

func TestTakeLeaseSignals(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "put", "q", "1", "2", "3")
	for _, c := range []struct {
		follow bool
		exit   string
		code   int
	}{{true, "exit 0", 0}, {true, "exit 9", 9}, {false, "exit 9", 9}} {
		args := []string{"take", "--lease", "q", fmt.Sprintf("--follow=%v", c.follow), "--", "sh", "-c",
			"trap '" + c.exit + "' TERM; " + spin}
		p := spawn(t, args...)
		p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		p.start()
		p.line("held")
		if err := p.Process.Signal(os.Signal(syscall.SIGTERM)); err != nil {
			t.Fatal(err)
		}
		if code, rest := p.end(); code != c.code || rest != "" {
			t.Errorf("%+v: exit %d, %q, stderr %q", c, code, rest, p.stderr)
		}
	}
	// Only the first command was done with its message.
	expect(t, "2\n3\n", "take", "q", "-n", "2", "--nonblock")
}

// The command's status is what the caller gets even if the queue went away.
func TestTakeLeaseDestroyedMeanwhile(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "put", "q", "1")
	p := spawn(t, "take", "--lease", "q", "--", "sh", "-c", "trap 'exit 3' TERM; "+spin)
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.start()
	p.line("held")
	must(t, "rm", "--destroy", "q")
	if err := p.Process.Signal(os.Signal(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if code, _ := p.end(); code != 3 || !strings.Contains(p.stderr.String(), "destroyed") {
		t.Errorf("exit %d, stderr %q", code, p.stderr)
	}
}

// A pipeline of the shell as a worker.
func TestWorkerPipeline(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	p := spawn(t, "take", "--lease", "--follow", "q", "--", "sh", "-c", "tr a-z A-Z | sed s/^/did:/")
	p.start()
	must(t, "put", "q", `"first"`, `["second", null]`)
	p.line(`did:"FIRST"`)
	must(t, "put", "q", "3")
	must(t, "shutdown", "q")
	if code, rest := p.end(); code != 0 || rest != "did:[\"SECOND\",NULL]\ndid:3\n" || p.stderr.Len() > 0 {
		t.Errorf("exit %d, %q, stderr %q", code, rest, p.stderr)
	}
}

// A message that could not be printed stays in the queue.
func TestTakeIntoNothing(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "put", "q", "1")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var stderr strings.Builder
	a := &app{stdout: full, stderr: &stderr}
	code := a.run(t.Context(), []string{"take", "q"})
	if code != exitFailure || !strings.Contains(stderr.String(), "space") {
		t.Errorf("exit %d, stderr %q", code, &stderr)
	}
	wantJSON(t, must(t, "take", "q", "--json", "--nonblock"), map[string]any{"message": 1, "deliveries": 2})
}

// Messages of other clients may hold what JSON lacks.
func TestTakeOfForeignMessages(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	c := dial(t)
	var open wire.Attachment
	if err := c.Call(t.Context(), wire.MethodOpen, &open, "q"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "\x81\x01\xc4\x01\xff", "\xc0"} {
		if err := c.Call(t.Context(), wire.MethodPut, nil, open.Handle, msgpack.RawMessage(m)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "\"inf\"\n{\"1\":\"/w==\"}\nnull\n", "take", "q", "-n", "3")
}

func TestQueueMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue")
	must(t, "create", "m", "mutex")
	must(t, "create", "s", "semaphore")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"put", 2, "at least 1 arg"},
		{"put nope 1", 1, "no such object"},
		{"put m 1", 1, "its kind is mutex: want a queue"},
		{"put q 1 --timeout 1s --nonblock", 2, "nonblock"},
		{"put q hello", 1, "its quotes"},
		{"put q 18446744073709551616", 1, "2^64-1"},
		{"put q -9223372036854775809", 1, "-2^63"},
		{"put q -nan", 1, "-nan"},
		{"take", 2, "accepts 1 arg"},
		{"take q q", 2, "accepts 1 arg"},
		{"take s", 1, "want a queue"},
		{"take q -- true", 2, "--lease"},
		{"take q -n -1", 2, "-1"},
		{"take q -n 2 --follow", 2, "follow"},
		{"take q --dead --follow", 2, "follow"},
		{"take q --dead --timeout 1s", 2, "timeout"},
		{"take q --lease", 2, "COMMAND"},
		{"take --lease q true", 2, "shmd take q -- true"},
		{"take --lease -n 2 q -- true", 2, "count"},
		{"take --lease m -- true", 1, "want a queue"},
		{"get q", 1, "has no data"},
		{"lock q -- true", 1, "not supported"},
		{"shutdown s", 1, "want a queue"},
		{"shutdown", 2, "accepts 1 arg"},
		{"redeliver m", 1, "want a queue"},
	} {
		r := invoke(t, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) || !strings.HasPrefix(r.stderr, "shmd: ") ||
			r.stdout != "" {
			t.Errorf("shmd %s: %+v, want exit %d and %q", c.args, r, c.code, c.text)
		}
	}
	if text := must(t, "stat", "q"); !strings.Contains(text, "0 ready") {
		t.Errorf("something was put:\n%s", text)
	}
}

// Many lines go in and come out in batches, in order, more than a queue holds; join ends
// with the last.
func TestManyMessages(t *testing.T) {
	startDaemon(t)
	must(t, "create", "q", "queue", "--maxsize", "7", "--content", "raw")
	var lines strings.Builder
	for i := range 500 {
		fmt.Fprintf(&lines, "%d %s\n", i, strings.Repeat("x", i%200))
	}
	taker := spawn(t, "take", "q", "--follow")
	taker.start()
	r := invokeInput(t, lines.String(), "put", "q", "--json")
	if r.code != 0 || !strings.Contains(r.stdout, `"count":500`) {
		t.Errorf("put: %+v", r)
	}
	must(t, "join", "q")
	must(t, "shutdown", "q")
	if code, all := taker.end(); code != 0 || all != lines.String() {
		t.Errorf("exit %d, %d bytes of %d, stderr %q", code, len(all), lines.Len(), taker.stderr)
	}
	must(t, "create", "busy", "queue", "--lease-time", "90s")
	must(t, "put", "busy", "1")
	for _, wait := range []string{"--nonblock", "--timeout=1ms"} {
		if r := invoke(t, "join", "busy", wait); r.code != exitTemporary {
			t.Errorf("join %s: %+v", wait, r)
		}
	}
	if text := must(t, "stat", "busy"); !strings.Contains(text, "a lease ends after 1m30s") {
		t.Errorf("stat:\n%s", text)
	}
	wantJSON(t, must(t, "stat", "busy", "--json"), map[string]any{"lease_ns": 90000000000})
}
