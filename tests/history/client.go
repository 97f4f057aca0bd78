package history

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// Flavour is a kind of client.
type Flavour string

// The flavours.
const (
	Go     Flavour = "go"     // mapped memory
	Socket Flavour = "socket" // the socket alone
	C      Flavour = "c"      // c/performer.c: mapped memory
)

// Flavours are all of them.
var Flavours = []Flavour{Go, Socket, C}

// Client is a running client, for one goroutine at a time.
type Client struct {
	*harness.Process
	Flavour Flavour
	ID      int // never used again in the crew
	Log     *Log
	life    *os.File // our end of the lifeline of its children
	first   int      // of the script that runs
	count   int      // entries of it; 0 = at rest
	done    int      // entries of it that have returned, as Done saw last
}

// Crew starts clients.
type Crew struct {
	t       testing.TB
	daemon  *harness.Daemon
	dir     string
	started int
	entries int
}

// NewCrew makes a crew of clients with logs of so many entries, which are killed when
// the test ends.
func NewCrew(t testing.TB, d *harness.Daemon, entries int) *Crew {
	t.Helper()
	return &Crew{t: t, daemon: d, dir: t.TempDir(), entries: entries}
}

// Start starts a client, which opens nothing yet.
func (c *Crew) Start(f Flavour) *Client {
	c.t.Helper()
	client := c.Begin(f)
	client.Expect("ok")
	return client
}

// Begin is Start that does not wait until the client has connected: it says ok then.
func (c *Crew) Begin(f Flavour) *Client {
	c.t.Helper()
	path := filepath.Join(c.dir, fmt.Sprint(c.started))
	log, err := CreateLog(path, c.entries)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := log.Close(); err != nil {
			c.t.Error(err)
		}
	})
	cmd := exec.Command("/proc/self/exe")
	if f == C {
		cmd = harness.Command(harness.Program(c.t, "tests/history/c/performer"), path)
	}
	cmd.Env = append(os.Environ(), "SHMD_SOCKET="+c.daemon.Socket, flavourVariable+"="+string(f), logVariable+"="+path)
	theirs, ours, err := os.Pipe()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs} // lifelineFD
	client := &Client{Process: harness.StartCmd(c.t, cmd), Flavour: f, ID: c.started, Log: log, life: ours}
	c.t.Cleanup(client.EndChildren)
	theirs.Close()
	c.started++
	return client
}

// EndChildren ends the children that the client has left, or will leave. It may be
// repeated.
func (c *Client) EndChildren() { c.life.Close() }

// Know tells the client which objects there are; it opens them by OpOpen.
func (c *Client) Know(objects ...wire.Info) {
	for i, o := range objects {
		c.Send(fmt.Sprintf("object %d %s %s", i, o.Kind, o.Name))
	}
	for range objects {
		c.Expect("ok")
	}
}

// Renew puts another object, which has the same kind, in the place of one that it knows.
func (c *Client) Renew(i uint16, o wire.Info) {
	c.Send(fmt.Sprintf("object %d %s %s", i, o.Kind, o.Name))
	c.Expect("ok")
}

// Run makes a client at rest begin a script, in the entries from first on.
func (c *Client) Run(first int, script []Entry) {
	c.Log.Write(first, script)
	c.first, c.count, c.done = first, len(script), 0
	c.Send(fmt.Sprintf("run %d %d", first, len(script)))
}

// Await waits for the end of the script and returns what came of it.
func (c *Client) Await() []Entry {
	c.Expect("done")
	return c.harvest()
}

// Poll returns what came of the script if it has ended, and nil if it has not.
func (c *Client) Poll() []Entry {
	if c.count == 0 || c.Process.Poll() == "" {
		return nil
	}
	return c.harvest()
}

// Working reports whether something of the script is left to do.
func (c *Client) Working() bool { return c.Done() < c.count }

// Last is the entry that returned last; the zero Entry if none has.
func (c *Client) Last() Entry {
	if c.Done() == 0 {
		return Entry{}
	}
	return c.Log.Read(c.first + c.done - 1)
}

// Done counts the entries of the running script that have returned.
func (c *Client) Done() int {
	for c.done < c.count && c.Log.Read(c.first+c.done).Return != 0 {
		c.done++
	}
	return c.done
}

// Current is the entry that the client is at, if it has begun one and not returned.
func (c *Client) Current() (e Entry, inFlight bool) {
	if i := c.Done(); i < c.count {
		e = c.Log.Read(c.first + i)
	}
	return e, e.Unknown()
}

// String tells what the client is doing.
func (c *Client) String() string {
	text := fmt.Sprintf("client %d (%s, pid %d): %d of %d done", c.ID, c.Flavour, c.PID(), c.Done(), c.count)
	if e, inFlight := c.Current(); inFlight {
		text += fmt.Sprintf(", for %v in object %d: %v", time.Duration(Now()-e.Call), e.Object, &e)
	}
	return text
}

// Begun reads what came of the script, as far as it came; the last may be in flight.
func (c *Client) Begun() []Entry {
	var entries []Entry
	for i := range c.count {
		e := c.Log.Read(c.first + i)
		if e.Call == 0 {
			break
		}
		entries = append(entries, e)
	}
	return entries
}

// harvest is Begun, and forgets it.
func (c *Client) harvest() []Entry {
	entries := c.Begun()
	c.count = 0
	return entries
}

// Death is the end of a client that was killed.
type Death struct {
	Client  int
	PID     int
	Killed  int64 // just before the signal was sent
	Settled int64 // when the daemon was seen to have recovered all of it
}

// Kill kills a client and returns what it has done; the last entry may be unknown.
func (c *Client) Kill() (entries []Entry, d Death) {
	d = Death{Client: c.ID, PID: c.PID(), Killed: Now()}
	c.Process.Kill()
	return c.harvest(), d
}

// AwaitRecovered waits until the daemon has forgotten the dead: everything they held
// is back.
func (c *Crew) AwaitRecovered(ask func() []wire.ClientInfo, deaths ...*Death) {
	c.t.Helper()
	giveUp := time.Now().Add(harness.Patience)
	for {
		known := make(map[int32]bool)
		for _, info := range ask() {
			known[info.PID] = true
		}
		left := 0
		now := Now()
		for _, d := range deaths {
			if known[int32(d.PID)] {
				left++
			} else if d.Settled == 0 {
				d.Settled = now
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(giveUp) {
			c.t.Fatalf("the daemon does not forget %d clients that were killed: %+v", left, ask())
		}
	}
}
