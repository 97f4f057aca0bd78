package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// patient is a machine that lacks what the test says.
type patient struct {
	kernel  string
	cpus    int
	lacks   map[string]error // by probe
	files   uint64
	maps    uint64
	noCount error // of descriptors, mappings and memory
}

func healthy() patient { return patient{kernel: "6.18.44", cpus: 8, files: 524_288, maps: 65_530} }

func (p patient) release() string                      { return p.kernel }
func (p patient) processors() int                      { return p.cpus }
func (p patient) sealedMemfd() error                   { return p.lacks["memfd"] }
func (p patient) pidfdOpen() error                     { return p.lacks["pidfd"] }
func (p patient) futexWaitv() error                    { return p.lacks["waitv"] }
func (p patient) noexecSeal() error                    { return p.lacks["noexec"] }
func (p patient) peerPIDFD() error                     { return p.lacks["peer"] }
func (p patient) descriptors() (uint64, uint64, error) { return p.files, p.files, p.noCount }
func (p patient) mapsMax() (uint64, error)             { return p.maps, p.noCount }
func (p patient) memory() (uint64, error)              { return 1 << 30, p.noCount }

// What doctor makes of each illness: how bad it is, and what is to be done.
func TestDoctorFindings(t *testing.T) {
	for _, c := range []struct {
		name  string
		sick  func(*patient)
		what  string
		state string
		do    string
	}{
		{"old kernel", func(p *patient) { p.kernel = "5.4.0-42-generic" }, "kernel", findingBad, "5.10"},
		{"oldest kernel", func(p *patient) { p.kernel = "5.10-rc1" }, "kernel", findingOK, ""},
		{"odd kernel", func(p *patient) { p.kernel = "none" }, "kernel", findingNote, "no number"},
		{"one processor", func(p *patient) { p.cpus = 1 }, "processors", findingNote, "sleeps at once"},
		{"no memfd", func(p *patient) { p.lacks["memfd"] = unix.ENOSYS }, "memfd with seals", findingBad, "sandbox"},
		{"no pidfd", func(p *patient) { p.lacks["pidfd"] = unix.EPERM }, "pidfd_open", findingBad, "Linux 5.3"},
		{"no waitv", func(p *patient) { p.lacks["waitv"] = unix.ENOSYS }, "futex_waitv", findingNote, "Linux 5.16"},
		{"no noexec", func(p *patient) { p.lacks["noexec"] = unix.EINVAL }, "MFD_NOEXEC_SEAL", findingNote, "6.3"},
		{"no peer", func(p *patient) { p.lacks["peer"] = unix.ENOPROTOOPT }, "SO_PEERPIDFD", findingNote, "namespace"},
		{"few descriptors", func(p *patient) { p.files = 1024 }, "descriptors", findingNote, "LimitNOFILE"},
		{"few mappings", func(p *patient) { p.maps = 1000 }, "mappings", findingNote, "vm.max_map_count"},
		{"no /proc", func(p *patient) { p.noCount = os.ErrNotExist }, "memory", findingBad, "--budget"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := healthy()
			p.lacks = map[string]error{}
			c.sick(&p)
			for _, f := range examine(p) {
				switch {
				case f.what == c.what && (f.state != c.state || !strings.Contains(f.do, c.do)):
					t.Errorf("%+v, want %s and %q", f, c.state, c.do)
				case f.what != c.what && f.state != findingOK && p.noCount == nil:
					t.Errorf("%+v, but only %s is ill", f, c.what)
				}
			}
		})
	}
	for _, f := range examine(healthy()) {
		if f.state != findingOK || f.do != "" {
			t.Errorf("healthy: %+v", f)
		}
	}
}

// The exit status says whether anything is bad.
func TestDoctorExit(t *testing.T) {
	a := &app{stdout: new(strings.Builder)}
	if err := a.showFindings([]finding{{what: "x", state: findingNote}}); err != nil {
		t.Error(err)
	}
	var e *exitError
	if err := a.showFindings([]finding{{what: "x", state: findingBad}}); !errors.As(err, &e) || e.code != exitFailure {
		t.Errorf("bad: %v", err)
	}
}

// With a daemon, doctor looks at that too; without, it says how to start one.
func TestDoctorDaemon(t *testing.T) {
	t.Setenv("SHMD_SOCKET", t.TempDir()+"/none.sock")
	if out := must(t, "doctor"); !strings.Contains(out, "shmd serve") {
		t.Errorf("without a daemon:\n%s", out)
	}
	startDaemon(t)
	out := must(t, "doctor", "--json")
	for _, want := range []string{`"what":"daemon","state":"ok"`, `"what":"zombies","state":"ok"`, `"what":"keeper"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// Whoever may write the directory may replace the socket in it.
func TestDoctorDirectory(t *testing.T) {
	dir := t.TempDir()
	if f := examineDirectory(dir); f.state != findingOK {
		t.Errorf("%+v", f)
	}
	if f := examineDirectory(dir + "/none"); f.state != findingNote {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if f := examineDirectory(dir); f.state != findingBad || !strings.Contains(f.do, "chmod") {
		t.Errorf("%+v", f)
	}
}
