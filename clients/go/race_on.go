//go:build race

package shmd

import (
	"sync"
	"sync/atomic"
)

// The race detector does not see synchronisation in shared memory. In a build
// with it, every lock, event and barrier is shadowed by a word on the heap, one per
// segment and process, so that what it orders is no race.

var shadows sync.Map // of *atomic.Uint64, by the inode of the lock's segment

func (o *object) shadow() *atomic.Uint64 {
	s := o.segment
	if o.foreign != nil {
		s = o.foreign
	}
	word, _ := shadows.LoadOrStore(s.Inode(), new(atomic.Uint64))
	return word.(*atomic.Uint64)
}

// acquired follows the taking of the lock, and the end of a wait.
func (o *object) acquired() { o.shadow().Add(1) }

// releasing comes before its release, and before what ends waits.
func (o *object) releasing() { o.shadow().Add(1) }
