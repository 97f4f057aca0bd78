package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon/keeper"
	"github.com/shmd/shmd/wire"
)

const doctorLong = `Look at what shmd needs of this machine, and say what to change: features of the kernel,
limits, memory, the socket's directory, and the daemon if one runs.

  ok    nothing to do
  note  it works, with the cost or the limit that is named
  bad   it does not work, and what to do about that

Limits are those of this process: run it as the user, and where, the daemon shall run.`

const doctorExit = `0   nothing is bad
1   something is bad
2   wrong usage`

// How a finding is to be taken.
const (
	findingOK   = "ok"
	findingNote = "note"
	findingBad  = "bad"
)

// finding is what doctor has to say of one thing.
type finding struct {
	what  string // it is about
	state string // findingOK ...
	says  string // what it is
	do    string // what to change; "" = nothing
}

func (a *app) newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say whether this machine is fit for shmd, and what to change",
		Long:  doctorLong,
		Example: `shmd doctor
shmd doctor --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{sectionExit: doctorExit},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.showFindings(append(examine(machine{}), a.examineDaemon(cmd.Context())...))
		},
	}
}

func (a *app) showFindings(findings []finding) error {
	bad := false
	t := a.newTable()
	for _, f := range findings {
		bad = bad || f.state == findingBad
		if a.json {
			d := document{{"what", f.what}, {"state", f.state}, {"says", f.says}, {"do", f.do}}
			if err := a.emit(d); err != nil {
				return err
			}
			continue
		}
		t.row(f.state, f.what, f.says)
		if f.do != "" {
			t.row("", "", "-> "+f.do)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if bad {
		return &exitError{exitFailure, nil}
	}
	return nil
}

// Below these, shmd works and says what it lacks.
const (
	kernelMin       = 5_010 // major * 1000 + minor
	descriptorsWant = 65_536
	mapsWant        = 65_530 // the kernel's own default
)

// examine judges a machine.
func examine(m host) []finding {
	all := []finding{examineKernel(m), examineProcessors(m)}
	for _, f := range features {
		all = append(all, f.examine(m))
	}
	return append(all, examineDescriptors(m), examineMaps(m), examineMemory(m))
}

func examineKernel(m host) finding {
	f := finding{what: "kernel", state: findingOK, says: m.release()}
	var major, minor int
	_, err := fmt.Sscanf(f.says, "%d.%d", &major, &minor)
	switch {
	case err != nil:
		f.state, f.do = findingNote, "this release has no number that shmd knows; it needs Linux 5.10"
	case major*1000+minor < kernelMin:
		f.state, f.do = findingBad, "install Linux 5.10 or newer"
	}
	return f
}

func examineProcessors(m host) finding {
	f := finding{what: "processors", state: findingOK, says: strconv.Itoa(m.processors())}
	if m.processors() == 1 {
		f.state, f.do = findingNote, "with one, whoever waits sleeps at once: each hand-over is two system calls"
	}
	return f
}

// feature is one of the kernel that shmd uses.
type feature struct {
	name    string
	since   string
	without string // how shmd does without; "" = it cannot
	probe   func(host) error
}

var features = []feature{
	{"memfd with seals", "Linux 3.17", "", host.sealedMemfd},
	{"pidfd_open", "Linux 5.3", "", host.pidfdOpen},
	{"futex_waitv", "Linux 5.16", "who waits for several things looks at them once a moment", host.futexWaitv},
	{"MFD_NOEXEC_SEAL", "Linux 6.3", "segments may be made executable by who maps them", host.noexecSeal},
	{"SO_PEERPIDFD", "Linux 6.5", "a client is known by its number and the time of its start; one of another pid " +
		"namespace cannot connect", host.peerPIDFD},
}

func (x feature) examine(m host) finding {
	f := finding{what: x.name, state: findingOK, says: "there"}
	if err := x.probe(m); err != nil {
		f.state, f.says = findingNote, "not there: "+err.Error()
		f.do = "without it " + x.without + ": " + x.since + " has it"
		if x.without == "" {
			f.state, f.do = findingBad, "shmd cannot do without it: "+x.since+" has it; a sandbox may forbid it"
		}
	}
	return f
}

func examineDescriptors(m host) finding {
	soft, hard, err := m.descriptors()
	f := finding{what: "descriptors", state: findingOK, says: fmt.Sprintf("%d, of at most %d", soft, hard)}
	switch {
	case err != nil:
		f.state, f.says = findingNote, err.Error()
	case hard < descriptorsWant:
		f.state = findingNote
		f.do = fmt.Sprintf("a daemon uses one for each object and two for each client: raise the limit above %d "+
			"(LimitNOFILE= in its unit, or ulimit -Hn)", descriptorsWant)
	}
	return f
}

func examineMaps(m host) finding {
	n, err := m.mapsMax()
	f := finding{what: "mappings", state: findingOK, says: fmt.Sprintf("at most %d in a process", n)}
	switch {
	case err != nil:
		f.state, f.says = findingNote, err.Error()
	case n < mapsWant:
		f.state = findingNote
		f.do = fmt.Sprintf("each object that is open is one: sysctl vm.max_map_count=%d", mapsWant)
	}
	return f
}

func examineMemory(m host) finding {
	bytes, err := m.memory()
	f := finding{what: "memory", state: findingOK, says: decimal(bytes>>20) + " MiB for this process and its group"}
	if err != nil {
		f.state, f.says, f.do = findingBad, err.Error(), "a daemon does not know then what to promise: give it --budget"
	}
	return f
}

// examineDaemon looks at the daemon that this command would talk to.
func (a *app) examineDaemon(ctx context.Context) []finding {
	socket := a.serveSocket()
	all := []finding{examineDirectory(filepath.Dir(socket))}
	f := finding{what: "daemon", state: findingOK}
	c, err := shmd.Dial(ctx, shmd.Options{Socket: a.socket, Software: "shmd doctor"})
	switch {
	case errors.Is(err, shmd.ErrNoDaemon):
		f.state, f.says, f.do = findingNote, "none listens on "+socket, "start one: shmd serve"
		return append(all, f)
	case err != nil:
		f.state, f.says, f.do = findingBad, err.Error(), "its log says more"
		return append(all, f)
	}
	defer c.Close()
	var s wire.Status
	if err := c.Call(ctx, wire.MethodStatus, &s); err != nil {
		f.state, f.says, f.do = findingBad, err.Error(), "its log says more"
		return append(all, f)
	}
	f.says = s.Server + ", process " + decimal(s.PID)
	return append(all, f, examineZombies(&s), examineKeeper(socket))
}

func examineDirectory(dir string) finding {
	f := finding{what: "directory", state: findingOK, says: dir}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.state, f.says, f.do = findingNote, dir+" is not there", "shmd serve makes it, if it may"
	case err != nil:
		f.state, f.says, f.do = findingBad, err.Error(), "choose another with --socket or SHMD_SOCKET"
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		f.state, f.do = findingBad, "anybody may replace the socket there: chmod o-w "+dir
	}
	return f
}

func examineZombies(s *wire.Status) finding {
	f := finding{what: "zombies", state: findingOK, says: decimal(s.Zombies)}
	if s.Zombies > 0 {
		f.state = findingNote
		f.do = "they have closed their connection, still run, and hold what they hold: shmd clients says who they are"
	}
	return f
}

func examineKeeper(socket string) finding {
	f := finding{what: "keeper", state: findingOK, says: "there: what the daemon has outlives it"}
	if _, err := os.Stat(keeper.Path(socket)); err != nil {
		f.state, f.says = findingNote, "there is none: names are lost with the daemon"
		f.do = "start the daemon without --keeper=none"
	}
	return f
}

// host is what doctor asks a machine.
type host interface {
	release() string
	processors() int
	sealedMemfd() error
	pidfdOpen() error
	futexWaitv() error
	noexecSeal() error
	peerPIDFD() error
	descriptors() (soft, hard uint64, err error)
	mapsMax() (uint64, error)
	memory() (bytes uint64, err error)
}

// machine is this one.
type machine struct{}

func (machine) processors() int { return runtime.NumCPU() }
