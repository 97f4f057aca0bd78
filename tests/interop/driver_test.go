package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// language is a way to make a driver.
type language struct {
	name    string
	command func(t testing.TB, socket string) *exec.Cmd
	// wraps: add leaves the range instead of answering OUT_OF_RANGE.
	wraps bool
	// maps: it has reservations.
	maps bool
	// fills: putmany takes more messages than a queue has room for, and puts the first of them.
	fills bool
}

// languages is what the tests are generated from.
var languages = []language{
	{name: "go", wraps: true, maps: true, command: func(t testing.TB, socket string) *exec.Cmd {
		binary, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return goDriverIn(exec.Command(binary), socket)
	}},
	{name: "c", maps: true, command: func(t testing.TB, socket string) *exec.Cmd {
		return harness.Command(harness.Program(t, "tests/interop/c/driver"), socket)
	}},
	{name: "python", command: func(t testing.TB, socket string) *exec.Cmd {
		script := filepath.Join(harness.Root(t), "tests", "interop", "driver.py")
		return exec.Command(harness.Python(t), script, socket)
	}},
	{name: "python-package", maps: true, fills: true, command: func(t testing.TB, socket string) *exec.Cmd {
		script := filepath.Join(harness.Root(t), "tests", "interop", "package_driver.py")
		return exec.Command(harness.PythonPackage(t), script, socket)
	}},
}

// With an emulator the C driver is a program of another machine, and this is a Go one:
// this test binary, built for that machine by `make arm64`.
func init() {
	if harness.Emulator() == "" {
		return
	}
	languages = append(languages, language{name: "go-emulated", wraps: true, maps: true,
		command: func(t testing.TB, socket string) *exec.Cmd {
			return goDriverIn(harness.Command(harness.Program(t, "interop.test")), socket)
		}})
}

func goDriverIn(testBinary *exec.Cmd, socket string) *exec.Cmd {
	testBinary.Env = append(os.Environ(), driverVariable+"="+socket)
	return testBinary
}

// driver is a running driver.
type driver struct {
	*harness.Process
	language
}

func start(t testing.TB, l language, socket string) *driver {
	t.Helper()
	d := &driver{harness.StartCmd(t, l.command(t, socket)), l}
	d.Expect("ok")
	return d
}

// want sends a command and wants this answer.
func (d *driver) want(t *testing.T, answer string, command ...string) {
	t.Helper()
	if got := d.Ask(strings.Join(command, " ")); got != answer {
		t.Fatalf("%s: %q answers %q, want %q", d.name, command, got, answer)
	}
}

func (d *driver) ok(t *testing.T, command ...string) {
	t.Helper()
	d.want(t, "ok", command...)
}

// fails wants an error of that name.
func (d *driver) fails(t *testing.T, name string, command ...string) {
	t.Helper()
	d.want(t, "error "+name, command...)
}

// values sends a command and wants these values, whatever their spelling.
func (d *driver) values(t *testing.T, code ctypes.Code, want []string, command ...string) {
	t.Helper()
	answer := strings.Split(d.Ask(strings.Join(command, " ")), " ")
	got := answer[1:]
	for i, text := range got {
		if code.Kind() != ctypes.KindBool && (text == "true" || text == "false") {
			continue // of cas
		}
		bits, err := ctypes.ParseText(code, text)
		if err != nil {
			t.Fatalf("%s: %q answers %q: %v", d.name, command, answer, err)
		}
		got[i] = ctypes.FormatText(code, bits)
	}
	if answer[0] != "ok" || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("%s: %q answers %q, want ok %q", d.name, command, answer, want)
	}
}

// number sends a command that answers one word.
func (d *driver) number(t *testing.T, command ...string) string {
	t.Helper()
	answer := d.Ask(strings.Join(command, " "))
	number, found := strings.CutPrefix(answer, "ok ")
	if !found {
		t.Fatalf("%s: %q answers %q", d.name, command, answer)
	}
	return number
}

// result wants this line as the answer to a command that was sent before.
func (d *driver) result(t *testing.T, want string) {
	t.Helper()
	if got := d.Line(); got != want {
		t.Fatalf("%s: the wait ends with %q, want %q", d.name, got, want)
	}
}

// asleep sends a command that must wait, and returns once the daemon sees the
// driver wait in the object; of the kinds of goSync, where it matters that it has
// arrived or announced itself, once all who wait are asleep.
func (d *driver) asleep(t *testing.T, watcher *shmd.Client, object string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	d.Send(strings.Join(command, " "))
	for {
		var stat wire.Stat
		if err := watcher.Call(ctx, wire.MethodStat, &stat, object); err != nil {
			t.Fatalf("%s does not come to wait in %s: %v; %+v", d.name, object, err, stat)
		}
		found, waiting := false, uint64(0)
		for _, seat := range stat.Seats {
			if seat.Waiting {
				waiting++
				found = found || seat.PID == int32(d.PID())
			}
		}
		if found && (!strings.Contains(syncKinds, stat.Kind) || stat.Waiters == waiting) {
			return
		}
	}
}

// pair is a creator and an opener, each a process of its own.
type pair struct {
	creator, opener *driver
	watcher         *shmd.Client
	mutex, object   string // names that no other pair has
	serial          int
}

// fresh gives the pair another object name, so that a test that fails does not
// make the next fail too.
func (p *pair) fresh() {
	p.serial++
	p.object = fmt.Sprintf("%s/%s/%d", p.creator.name, p.opener.name, p.serial)
}

// forPairs runs a test for each ordered pair of languages, the same twice included.
func forPairs(t *testing.T, test func(t *testing.T, d *harness.Daemon, p *pair)) {
	d := harness.StartDaemon(t)
	watcher := d.Dial(t)
	for _, creator := range languages {
		for _, opener := range languages {
			t.Run(creator.name+" creates, "+opener.name+" opens", func(t *testing.T) {
				p := &pair{creator: start(t, creator, d.Socket), opener: start(t, opener, d.Socket), watcher: watcher}
				p.mutex = creator.name + "/" + opener.name + "/mutex"
				p.fresh()
				test(t, d, p)
			})
		}
	}
}
