package daemon

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// budget bounds the memory of all objects. The kernel is no guard: memory of a
// memfd is promised freely, and when it runs out somebody is killed.
type budget struct {
	mu    sync.Mutex
	limit uint64 // protected by mu
	used  uint64 // protected by mu
}

// availableCheckMin is the size from which on a segment is compared with the
// memory that is available now; reading that costs more than a small segment.
const availableCheckMin = 64 << 10

// charge takes size bytes, or says with NoSpace why not.
func (b *budget) charge(size uint64) error {
	if size >= availableCheckMin {
		if available, ok := memoryAvailable(); ok && size > available {
			return status.New(status.NoSpace, "", "it needs %d bytes and the machine has %d available: "+
				"make it smaller, or destroy objects that nobody needs", size, available)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := b.limit - min(b.limit, b.used); size > left {
		return status.New(status.NoSpace, "", "it needs %d bytes and the daemon's budget has %d of %d left: "+
			"make it smaller, destroy objects that nobody needs, or raise --budget", size, left, b.limit)
	}
	b.used += size
	return nil
}

// setLimit changes the limit; what is used beyond it stays.
func (b *budget) setLimit(limit uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
}

// max is the limit.
func (b *budget) max() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit
}

// release gives size bytes back.
func (b *budget) release(size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= size
}

// inherit is charge for what is there already, whatever the limit.
func (b *budget) inherit(size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += size
}

// total is how much is taken.
func (b *budget) total() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// MemoryLimit is the smaller of the machine's memory and the limit of the
// cgroup that the daemon runs in.
func MemoryLimit() (uint64, error) {
	total, ok := meminfo("MemTotal")
	if !ok {
		return 0, status.New(status.System, "start the daemon", "/proc/meminfo does not say how much memory there is: "+
			"mount /proc or set the budget")
	}
	return min(total, cgroupLimit()), nil
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

// cgroupLimit is the least memory.max on the way from this process's cgroup
// (version 2) to the root; no limit is the largest number.
func cgroupLimit() uint64 {
	limit := uint64(math.MaxUint64)
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(text)) {
		dir, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		for ; ; dir = filepath.Dir(dir) {
			if v, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", dir, "memory.max")); err == nil {
				if n, err := strconv.ParseUint(strings.TrimSpace(string(v)), 10, 64); err == nil {
					limit = min(limit, n)
				}
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return limit
}
