package shm

import "strings"

// Kind is what an object is.
type Kind uint32

// The kinds. Never renumbered.
const (
	KindValue Kind = 1
	KindArray Kind = 2
	KindMutex Kind = 3
	// KindSemaphore counts permits; KindQueue holds messages.
	KindSemaphore Kind = 4
	KindQueue     Kind = 5
	// KindEvent is waited for until it is set; KindCondition until it is notified,
	// by who holds its mutex; KindBarrier until all parties have arrived.
	KindEvent     Kind = 6
	KindCondition Kind = 7
	KindBarrier   Kind = 8
	// KindRWLock lets many readers in, or one writer.
	KindRWLock Kind = 9
	// KindStream goes one way, from one producer to one consumer; KindPipe both ways,
	// between two ends.
	KindStream Kind = 10
	KindPipe   Kind = 11
)

var kindNames = map[Kind]string{KindValue: "value", KindArray: "array", KindMutex: "mutex",
	KindSemaphore: "semaphore", KindQueue: "queue", KindEvent: "event", KindCondition: "condition",
	KindBarrier: "barrier", KindRWLock: "rwlock", KindStream: "stream", KindPipe: "pipe"}

// String is the kind's name on the wire, or "" for none.
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the inverse of String.
func ParseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return k, true
		}
	}
	return 0, false
}

// HasData reports whether objects of the kind carry typed data.
func (k Kind) HasData() bool { return k == KindValue || k == KindArray }

// Flags are the header's SHMD_FLAG_ bits.
type Flags uint32

// The flags. Recursive, UnlockAny and Strict belong to a mutex or an own lock,
// Undo to a semaphore, Raw to a queue, AutoReset to an event, Bytes to a pipe. A
// condition always has LockForeign.
const (
	FlagRecursive   Flags = 0x1
	FlagUnlockAny   Flags = 0x2
	FlagStrict      Flags = 0x4
	FlagLockNone    Flags = 0x8
	FlagLockForeign Flags = 0x10
	FlagUndo        Flags = 0x20
	FlagRaw         Flags = 0x40
	FlagAutoReset   Flags = 0x80
	FlagBytes       Flags = 0x100

	flagsOfLock = FlagRecursive | FlagUnlockAny | FlagStrict | FlagLockNone | FlagLockForeign
)

// allowed are the flags that mean something for the kind.
func (k Kind) allowed() Flags {
	switch k {
	case KindSemaphore:
		return FlagUndo
	case KindQueue:
		return FlagRaw
	case KindEvent:
		return FlagAutoReset
	case KindCondition:
		return FlagLockForeign
	case KindPipe:
		return FlagBytes
	case KindBarrier, KindRWLock, KindStream:
		return 0
	}
	return flagsOfLock
}

// Has reports whether all bits of f are set.
func (s Flags) Has(f Flags) bool { return s&f == f }

// String lists the flags that users choose by name, for people.
func (s Flags) String() string {
	var names []string
	for _, n := range []struct {
		f    Flags
		name string
	}{{FlagRecursive, "recursive"}, {FlagUnlockAny, "unlock_any"}, {FlagStrict, "strict"},
		{FlagUndo, "undo"}, {FlagRaw, "raw"}, {FlagAutoReset, "auto_reset"},
		{FlagBytes, "bytes"}} {
		if s.Has(n.f) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// State is the header's state word. Inside a segment it is advice: the daemon's
// own copy is the truth.
type State uint32

// The states.
const (
	StateCreating State = 0
	StateLive     State = 1
	StateCorrupt  State = 2
	StateRemoved  State = 3
)

// String is the state's name on the wire.
func (s State) String() string {
	switch s {
	case StateCreating:
		return "creating"
	case StateLive:
		return "live"
	case StateCorrupt:
		return "corrupt"
	case StateRemoved:
		return "removed"
	}
	return "unknown"
}
