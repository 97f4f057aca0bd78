package daemon

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// availableCheckMin is the size from which on a segment is compared with the
// memory that is available now; reading that costs more than a small segment.
const availableCheckMin = 64 << 10

// checkAvailable answers NoSpace for a segment for which there is no memory now. The
// kernel is no guard: memory of a memfd is promised freely, and when it runs out somebody
// is killed.
func checkAvailable(size uint64) error {
	if size < availableCheckMin {
		return nil
	}
	if available, ok := memoryAvailable(); ok && size > available {
		return status.New(status.NoSpace, "", "it needs %d bytes and the machine has %d available: "+
			"make it smaller, or destroy objects that nobody needs", size, available)
	}
	if available := cgroupAvailable("/"); size > available {
		return status.New(status.NoSpace, "", "it needs %d bytes and the daemon's cgroup has %d available: "+
			"make it smaller, destroy objects that nobody needs, or raise the limit of the cgroup", size, available)
	}
	return nil
}

// MemoryLimit is the smaller of the machine's memory and the limit of the
// cgroup that the daemon runs in.
func MemoryLimit() (uint64, error) {
	total, ok := meminfo("MemTotal")
	if !ok {
		return 0, status.New(status.System, "start the daemon", "/proc/meminfo does not say how much memory there is: "+
			"mount /proc or set the budget")
	}
	return min(total, cgroupLimit("/")), nil
}

// filesLimit is how many descriptors the process may have open. The Go runtime
// has raised the soft limit to the hard one.
func filesLimit() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}

// memoryAvailable is what the kernel thinks can be had without swapping.
func memoryAvailable() (uint64, bool) { return meminfo("MemAvailable") }

// meminfo reads one line of /proc/meminfo, in bytes.
func meminfo(field string) (uint64, bool) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), field+":")
		if !found {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
		return kib << 10, err == nil
	}
	return 0, false
}

// cgroupLimit is the least memory limit on the way from this process's cgroup to the
// root; no limit is the largest number. The file system that says so is mounted at root.
func cgroupLimit(root string) uint64 {
	limit := uint64(math.MaxUint64)
	eachCgroup(root, func(c cgroup) { limit = min(limit, c.limit()) })
	return limit
}

// cgroupAvailable is what can be had in all cgroups that this process is in, without
// that anybody is killed.
func cgroupAvailable(root string) uint64 {
	available := uint64(math.MaxUint64)
	eachCgroup(root, func(c cgroup) {
		if limit := c.limit(); limit < math.MaxUint64 {
			used := c.read(c.names.usage) - min(c.read(c.names.usage), c.cache())
			available = min(available, limit-min(limit, used))
		}
	})
	return available
}

// cgroup is a directory of one version of control groups.
type cgroup struct {
	dir   string
	names *cgroupNames
}

// cgroupNames are what its files are called.
type cgroupNames struct {
	controller   string // how /proc/self/cgroup calls the hierarchy
	mount        string
	limit, usage string
	cache        string // line of memory.stat that tells what can be dropped
}

var cgroupVersions = []cgroupNames{
	{"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
	{"", "/sys/fs/cgroup/unified", "memory.max", "memory.current", "inactive_file"}, // beside version 1
	{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
}

// eachCgroup calls f for the process's cgroup and all above it.
func eachCgroup(root string, f func(cgroup)) {
	text, err := os.ReadFile(filepath.Join(root, "/proc/self/cgroup"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		// number:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for i := range cgroupVersions {
			names := &cgroupVersions[i]
			if !slices.Contains(strings.Split(parts[1], ","), names.controller) {
				continue
			}
			for dir := parts[2]; ; dir = filepath.Dir(dir) {
				f(cgroup{filepath.Join(root, names.mount, dir), names})
				if dir == "/" || dir == "." {
					break
				}
			}
		}
	}
}

// limit is the group's own; no limit is the largest number.
func (c cgroup) limit() uint64 {
	if n := c.read(c.names.limit); n > 0 {
		return n
	}
	return math.MaxUint64
}

// read returns the number in a file; 0 if there is none.
func (c cgroup) read(name string) uint64 {
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0 // max
	}
	return n
}

// cache is how much the kernel would drop before it kills.
func (c cgroup) cache() uint64 {
	text, err := os.ReadFile(filepath.Join(c.dir, "memory.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, c.names.cache+" "); found {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
