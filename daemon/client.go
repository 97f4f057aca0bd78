package daemon

import (
	"sync"
	"sync/atomic"
	"time"
)

// client is one connection of one process, from hello to the end of its
// recovery.
type client struct {
	id       uint64   // immutable
	peer     *peer    // immutable
	uuid     [16]byte // immutable
	software string   // immutable
	quota    *quota   // immutable

	// mapped: it was given a descriptor, so that it may touch shared bytes for
	// as long as its process lives, connection or not.
	mapped atomic.Bool

	tokens atomic.Int32 // that hold rwlocks or wait for them

	// seats by object id, those it may still use; protected by registry.mu.
	seats map[uint64]*seat
	// owned are the linked objects that end with it; protected by registry.mu.
	owned map[uint64]*object
	// sweeps counts seats that are not swept yet; protected by registry.mu.
	sweeps int
	// gone: its seats have been given up, and the last sweep ends it; protected
	// by registry.mu.
	gone bool

	mu        sync.Mutex
	session   *session  // protected by mu; the last
	ended     bool      // protected by mu; the session is over and nothing acts for the client
	zombie    bool      // protected by mu; ended, mapped and alive
	recovered bool      // protected by mu; recovery has begun
	crashed   bool      // protected by mu; recovery has begun, and it did not say bye
	noticed   time.Time // protected by mu; when the end was noticed first
}

// notice remembers when the end of the client was seen first.
func (c *client) notice() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noticed.IsZero() {
		c.noticed = time.Now()
	}
}

// hasCrashed: its recovery has begun, and it did not say bye.
func (c *client) hasCrashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crashed
}

// hasEnded: its connection is over, and nothing acts for it.
func (c *client) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// isZombie: its connection is over, its process is not, and may still write.
func (c *client) isZombie() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.zombie
}
