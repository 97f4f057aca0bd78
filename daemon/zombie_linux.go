package daemon

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
)

// zombies are the mapped clients that closed their connection and still run.
// Nothing they hold is given back while they may write. Most end with their
// process, which their death watch tells; those that unmapped everything, by
// exec above all, are found by looking.
type zombies struct {
	server *Server // immutable

	mu       sync.Mutex
	set      map[*client]struct{} // protected by mu
	watching bool                 // protected by mu; a look is due
}

// add makes a client a zombie, unless it is recovered already.
func (z *zombies) add(c *client) {
	z.mu.Lock()
	defer z.mu.Unlock()
	c.mu.Lock()
	c.zombie = !c.recovered
	recovered := c.recovered
	c.mu.Unlock()
	if recovered {
		return
	}
	if z.set == nil {
		z.set = make(map[*client]struct{})
	}
	z.set[c] = struct{}{}
	z.server.quota.inherit(c.peer.uid, amount{resZombies, 1})
	z.watch()
}

// watch makes the next look due, if there is anybody to look at.
func (z *zombies) watch() {
	if z.watching || len(z.set) == 0 {
		return
	}
	z.watching = true
	z.server.later(z.server.config.ZombieInterval, z.look)
}

// remove forgets a zombie that is recovered.
func (z *zombies) remove(c *client) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if _, ok := z.set[c]; ok {
		delete(z.set, c)
		z.server.quota.release(c.peer.uid, amount{resZombies, 1})
	}
}

func (z *zombies) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.set)
}

// look recovers the zombies that have no segment mapped any more.
func (z *zombies) look() {
	z.mu.Lock()
	all := make([]*client, 0, len(z.set))
	for c := range z.set {
		all = append(all, c)
	}
	z.mu.Unlock()
	for _, c := range all {
		if !z.server.mayWrite(c) {
			z.server.recoverClient(c, endUnmapped)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.watching = false
	z.watch()
}

// mayWrite reports whether the client's process may still write to a segment.
// When that cannot be told, it may.
func (s *Server) mayWrite(c *client) bool {
	if c.peer.dead() {
		return false
	}
	if c.peer.pid == 0 {
		return true // in a pid namespace of its own
	}
	mapped, err := mapsAny(c.peer.pid, s.registry.inodesOf(c))
	if err == nil && !mapped {
		return false
	}
	// A pid is not given to another process while its own lives: if that lives
	// still, these were its mappings.
	return !c.peer.dead()
}

// mapsAny reports whether a process has one of the inodes mapped from a memfd.
func mapsAny(pid int32, inodes map[uint64]struct{}) (bool, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(int(pid)) + "/maps")
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// address perms offset dev inode path
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/memfd:") {
			continue
		}
		inode, err := strconv.ParseUint(fields[4], 10, 64)
		if err != nil {
			return false, err
		}
		if _, ok := inodes[inode]; ok {
			return true, nil
		}
	}
	return false, lines.Err()
}
