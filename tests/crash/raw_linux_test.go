package crash

import (
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// raw is a queue or a semaphore mapped past the library, with a connection of its
// own: a client that does by hand what a client does, and stops in the middle.
type raw struct {
	conn  *wire.Conn
	owner uint32
	bytes []byte

	// Of a queue:
	queue       *shm.QueueLines
	ready, free []uint64
	descs       []shm.QueueDesc
	data        uint64 // where the slots begin
	slotSize    uint64
	// Of a semaphore:
	semaphore *shm.SemaphoreLines
	held      *uint32 // by itself
}

// kindOffset is where the part of page 0 begins that differs by kind.
const kindOffset = unsafe.Sizeof(shm.Header{})

func openRaw(name string) (*raw, error) {
	conn, a, fd, err := attachRaw(name, wire.AccessReadWrite)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	r := &raw{conn: conn, owner: a.Owner}
	r.bytes, err = unix.Mmap(fd, 0, int(a.SegmentSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	at := func(offset uint64) unsafe.Pointer { return unsafe.Pointer(&r.bytes[offset]) }
	if a.Kind == wire.KindSemaphore {
		g, err := shm.NewSemaphoreGeometry(a.Initial, a.Maximum, shm.FlagUndo, a.SeatsMax)
		if err != nil {
			return nil, err
		}
		r.semaphore = (*shm.SemaphoreLines)(at(uint64(kindOffset)))
		r.held = (*uint32)(at(g.CellsOffset + 4*uint64(a.Seat)))
		return r, nil
	}
	g, err := shm.NewQueueGeometry(uint64(a.MaxSize), a.SlotSize, a.MessageMax, a.DeliveriesMax, 0, a.SeatsMax)
	if err != nil {
		return nil, err
	}
	r.queue = (*shm.QueueLines)(at(uint64(kindOffset)))
	r.ready = unsafe.Slice((*uint64)(at(g.ReadyOffset)), g.Length)
	r.free = unsafe.Slice((*uint64)(at(g.FreeOffset)), g.Length)
	r.descs = unsafe.Slice((*shm.QueueDesc)(at(g.DescOffset)), g.Length)
	r.data, r.slotSize = g.DataOffset, uint64(g.SlotSize)
	return r, nil
}

// attachRaw opens an object on a connection of its own, and receives its
// descriptor.
func attachRaw(name, access string) (conn *wire.Conn, a wire.Attachment, fd int, err error) {
	fail := func(err error) (*wire.Conn, wire.Attachment, int, error) { return nil, a, -1, err }
	socket, err := net.Dial("unix", shmd.DefaultSocket())
	if err != nil {
		return fail(err)
	}
	if conn, err = wire.NewConn(socket.(*net.UnixConn)); err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close() // the first error says more
		}
	}()
	uuid := make([]byte, 16) // not the one of another connection of this process
	if _, err = rand.Read(uuid); err != nil {
		return fail(err)
	}
	_, _, err = exchange(conn, wire.MethodHello, wire.VersionMin, wire.VersionMax, uuid, "raw")
	if err != nil {
		return fail(err)
	}
	result, _, err := exchange(conn, wire.MethodOpen, name, wire.OpenOptions{Access: &access})
	if err != nil {
		return fail(err)
	}
	if err = wire.Decode(result, &a); err != nil {
		return fail(err)
	}
	_, fds, err := exchange(conn, wire.MethodMap, a.Handle)
	if err != nil {
		return fail(err)
	}
	if len(fds) != 1 {
		err = fmt.Errorf("%d descriptors came with map", len(fds))
		return fail(err)
	}
	return conn, a, fds[0], nil
}

// latch takes a latch by hand.
func (r *raw) latch(word *uint32) {
	for !atomic.CompareAndSwapUint32(word, 0, r.owner) {
		runtime.Gosched()
	}
}

const (
	futexWait = 0
	futexWake = 1
)

// unlatch gives it back and wakes one who waits for it.
func (r *raw) unlatch(word *uint32) error {
	if atomic.SwapUint32(word, 0)&wordWaiters == 0 {
		return nil
	}
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, 1, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// sleepUntilWoken announces a sleeper in the low bit of a word, says "asleep TID
// ADDRESS", and returns once a wake was for it.
func sleepUntilWoken(word *uint32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	announced := atomic.OrUint32(word, 1) | 1
	fmt.Printf("asleep %d %#x\n", unix.Gettid(), uintptr(unsafe.Pointer(word)))
	for {
		_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(announced),
			0, 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR: // the runtime's own signals
		default:
			return errno
		}
	}
}

// signal clears the waiters bit of an eventcount as a signal does, and wakes
// nobody.
func signal(word *uint64) {
	if atomic.LoadUint64(word)&1 != 0 {
		atomic.AddUint64(word, 1)
	}
}
