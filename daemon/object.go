package daemon

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// object is what a name names: one segment, and who has it open.
type object struct {
	id       uint64       // immutable
	name     string       // immutable; "" = anonymous
	geometry shm.Geometry // immutable
	segment  *shm.Segment // immutable; mapped until the object is freed
	file     *os.File     // immutable; open until the object is freed
	lock     *shm.Lock    // immutable; its own, its guard's, or nil
	array    *shm.Array   // immutable; of a value or array, else nil
	guard    *object      // immutable; the mutex that is its foreign lock, or nil
	// What the other kinds have, one each; else nil.
	semaphore *shm.Semaphore // immutable
	queue     *shm.Queue     // immutable
	event     *shm.Event     // immutable
	condition *shm.Condition // immutable
	barrier   *shm.Barrier   // immutable
	rwlock    *shm.RWLock    // immutable
	stream    *shm.Stream    // immutable
	pipe      *shm.Pipe      // immutable
	sides     *sideTable     // immutable; of a queue with messages longer than a slot
	lifetime  string         // immutable
	creator   *client        // immutable; nil unless it is owned

	// removed: destroyed. Set with registry.mu held, once.
	removed atomic.Bool

	// recoverMu is held while the segment is recovered: one at a time.
	recoverMu sync.Mutex

	// uid and gid own it, the creator's at first; protected by registry.mu, and for who
	// has it by sides.mu too.
	uid, gid uint32
	mode     uint32     // protected by registry.mu
	linked   bool       // protected by registry.mu; it has a name, or persists without
	freed    bool       // protected by registry.mu
	refs     int        // protected by registry.mu; see doc.go
	handles  uint64     // protected by registry.mu; of all clients
	seats    seatTable  // protected by registry.mu
	parts    queueParts // protected by registry.mu; of a queue
	// bound are the conditions of a mutex, which its destruction wakes; protected by
	// registry.mu.
	bound map[*object]struct{}
	// tickets keep it; nil = none ever did; protected by registry.mu.
	tickets map[*ticket]struct{}
}

// label names an object in errors and logs.
func (o *object) label() string {
	if o.name != "" {
		return o.name
	}
	return "#" + strconv.FormatUint(o.id, 10)
}

// Bits of a mode, for one class.
const (
	modeRead  = 4
	modeWrite = 2
	modeMask  = 0o666
)

// permits checks the mode as a file system does: the first class that the
// client is of decides. Root may everything.
func (o *object) permits(p *peer, want uint32) error {
	if p.uid == 0 {
		return nil
	}
	class, shift := "others", 0
	switch {
	case p.uid == o.uid:
		class, shift = "its owner", 6
	case p.in(o.gid):
		class, shift = "its group", 3
	}
	if o.mode>>shift&want == want {
		return nil
	}
	what, remedy := "reading", "ask its owner for chmod"
	if want&modeWrite != 0 {
		what = "reading and writing"
		if o.mode>>shift&modeRead != 0 {
			remedy += ", or open it with access \"r\""
		}
	}
	return status.New(status.Permission, "",
		"mode %04o does not allow %s to %s (uid %d; the object is of uid %d, gid %d): %s",
		o.mode, what, class, p.uid, o.uid, o.gid, remedy).On(o.label())
}

// ownedBy checks what only the owner and root may do. Call it with registry.mu held.
func (o *object) ownedBy(p *peer, what string) error {
	if p.uid == 0 || p.uid == o.uid {
		return nil
	}
	return status.New(status.Permission, "", "only its owner (uid %d) and root may %s it; you are uid %d",
		o.uid, what, p.uid).On(o.label())
}

// lockText says whose the lock is, as the wire names it.
func (o *object) lockText() string {
	switch {
	case !o.geometry.Kind.HasData() && o.geometry.Kind != shm.KindCondition:
		return ""
	case o.geometry.Flags.Has(shm.FlagLockNone):
		return wire.LockNone
	case o.geometry.Flags.Has(shm.FlagLockForeign):
		return wire.LockForeign
	}
	return wire.LockOwn
}

// codeText is the type code, "" for none.
func (o *object) codeText() string {
	if o.geometry.Code == 0 {
		return ""
	}
	return o.geometry.Code.String()
}

// info describes the object. Call it with registry.mu held.
func (o *object) info() wire.Info {
	g := &o.geometry
	info := wire.Info{
		ID: o.id, Name: o.name, Kind: g.Kind.String(), Code: o.codeText(), Shape: g.Shape, Length: g.Length,
		ItemSize: g.ItemSize, Lock: o.lockText(), LockID: g.LockID, SeatsMax: g.SeatsMax,
		Mode: o.mode, UID: o.uid, GID: o.gid, Lifetime: o.lifetime,
		CreatedNS: int64(g.CreatedNs), SegmentSize: g.SegmentSize,
	}
	for _, f := range namedFlags {
		if g.Flags.Has(f.flag) {
			info.Flags = append(info.Flags, f.name)
		}
	}
	switch g.Kind {
	case shm.KindSemaphore, shm.KindEvent:
		info.Initial, info.Maximum = g.Initial, g.Maximum
	case shm.KindBarrier:
		info.Parties = uint32(g.Length)
	case shm.KindStream, shm.KindPipe:
		info.Capacity, info.MessageMax = uint32(g.Capacity), g.MessageMax
	case shm.KindQueue:
		info.MaxSize, info.SlotSize, info.MessageMax, info.DeliveriesMax = uint32(g.Length), g.SlotSize, g.MessageMax,
			g.DeliveriesMax
		info.LeaseNS = g.LeaseNs
		info.Content = wire.ContentMsgpack
		if g.Flags.Has(shm.FlagRaw) {
			info.Content = wire.ContentRaw
		}
	}
	return info
}

var namedFlags = []struct {
	flag shm.Flags
	name string
}{
	{shm.FlagRecursive, wire.FlagRecursive},
	{shm.FlagUnlockAny, wire.FlagUnlockAny},
	{shm.FlagStrict, wire.FlagStrict},
	{shm.FlagUndo, wire.FlagUndo},
	{shm.FlagAutoReset, wire.FlagAutoReset},
	{shm.FlagBytes, wire.FlagBytes},
}

// state is the daemon's own opinion, but for the segment's that it is corrupt, which every
// client believes.
func (o *object) state() string {
	switch {
	case o.removed.Load():
		return wire.StateRemoved
	case o.segment.State() == shm.StateCorrupt:
		return wire.StateCorrupt
	}
	return wire.StateLive
}

// describe says what the object is, for mismatch errors.
func (o *object) describe() string {
	g := &o.geometry
	switch g.Kind {
	case shm.KindValue:
		return fmt.Sprintf("a value of '%c'", byte(g.Code))
	case shm.KindArray:
		return fmt.Sprintf("an array of '%c' with shape %v", byte(g.Code), g.Shape)
	case shm.KindQueue:
		return describeQueue(g)
	case shm.KindBarrier:
		return fmt.Sprintf("a barrier of %d parties", g.Length)
	case shm.KindStream, shm.KindPipe:
		return describeRing(g)
	}
	return withArticle(g.Kind.String())
}

// withArticle puts "a" or "an" before the name of a kind.
func withArticle(kind string) string {
	if kind == wire.KindArray || kind == wire.KindEvent || kind == wire.KindRWLock {
		return "an " + kind
	}
	return "a " + kind
}

func describeQueue(g *shm.Geometry) string {
	text := fmt.Sprintf(
		"a queue of %d messages of at most %d bytes in slots of %d, dead after %d deliveries (0 = never)",
		g.Length, g.MessageMax, g.SlotSize, g.DeliveriesMax)
	if g.LeaseNs != 0 {
		text += fmt.Sprintf(", leased for %v", time.Duration(g.LeaseNs))
	}
	return text
}

func describeRing(g *shm.Geometry) string {
	what := "messages of at most " + strconv.FormatUint(uint64(g.MessageMax), 10) + " bytes"
	if g.Flags.Has(shm.FlagBytes) {
		what = "bytes"
	}
	return fmt.Sprintf("a %s of %s in a ring of %d", g.Kind, what, g.Capacity)
}
