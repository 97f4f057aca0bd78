package measure

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what numbers depend on.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	Go     string `json:"go"`
	CC     string `json:"cc"`
	// Load is how busy the machine was with others: /proc/loadavg, the first.
	Load string `json:"load"`
}

// DescribeMachine looks at this one; what it cannot find out is "unknown".
func DescribeMachine() Machine {
	m := Machine{CPU: "unknown", CPUs: runtime.NumCPU(), Kernel: "unknown", Arch: runtime.GOARCH,
		Go: runtime.Version(), CC: "unknown", Load: "unknown"}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := Field(string(info), "model name"); model != "" {
			m.CPU = model
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if out, err := exec.Command(cmp.Or(os.Getenv("SHMD_CC"), "cc"), "--version").Output(); err == nil {
		m.CC, _, _ = strings.Cut(string(out), "\n")
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(load), " ")
	}
	return m
}

// Field is what a file of /proc says behind "name:".
func Field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Print writes two lines.
func (m Machine) Print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d CPUs (%s), Linux %s, load %s\n%s, %s\n", m.CPU, m.CPUs, m.Arch, m.Kernel, m.Load, m.Go, m.CC)
}
