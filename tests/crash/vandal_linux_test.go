package crash

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// vandals do to a daemon what no client should, one after the other, until they are
// stopped: all at once, they would use up the connections of the user, who is the others',
// too. What becomes of their connections is theirs; what becomes of the others is the test's.
type vandals struct {
	socket string
	stop   chan struct{}
	ended  sync.WaitGroup
	did    []int // of pranks; finish reads it
}

// prankTime bounds a prank, whose daemon may be stuck or gone.
const prankTime = 2 * time.Second

// A prank begins with a connection, and ends it.
var pranks = []struct {
	name string
	play func(conn *net.UnixConn, random *rand.Rand) error
}{
	{"noise", makeNoise},
	{"half a request", sendHalf},
	{"reads nothing", readNothing},
	{"descriptors", sendDescriptors},
	{"goes on writing", goOnWriting},
	{"scribble", scribbleOverOwn},
}

func startVandals(socket string, seed uint64) *vandals {
	v := &vandals{socket: socket, stop: make(chan struct{}), did: make([]int, len(pranks))}
	random := rand.New(rand.NewPCG(seed, 1))
	v.ended.Go(func() {
		for !v.stopped() {
			i := random.IntN(len(pranks))
			if v.prank(i, random) {
				v.did[i]++
			}
		}
	})
	return v
}

func (v *vandals) stopped() bool {
	select {
	case <-v.stop:
		return true
	default:
		return false
	}
}

// finish stops them, and says how often each has had a connection.
func (v *vandals) finish() string {
	close(v.stop)
	v.ended.Wait()
	text := ""
	for i, p := range pranks {
		text += fmt.Sprintf(" %s: %d;", p.name, v.did[i])
	}
	return text
}

// prank plays one; false = there was no daemon to play it on. Errors are what they ask for.
func (v *vandals) prank(i int, random *rand.Rand) bool {
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: v.socket, Net: "unix"})
	if err != nil {
		return false
	}
	defer socket.Close()
	_ = socket.SetDeadline(time.Now().Add(prankTime))
	_ = pranks[i].play(socket, random)
	return true
}

func noise(random *rand.Rand, size int) []byte {
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	return bytes
}

// untilEnd reads what comes until the daemon ends the connection, as it should.
func untilEnd(conn *net.UnixConn) error {
	buffer := make([]byte, 4096)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return err
		}
	}
}

func makeNoise(conn *net.UnixConn, random *rand.Rand) error {
	if _, err := conn.Write(noise(random, 1+random.IntN(64<<10))); err != nil {
		return err
	}
	_ = conn.CloseWrite()
	return untilEnd(conn)
}

// greeting is a hello, of a client that gives no uuid.
func greeting() []byte {
	b := wire.AppendRequestHeader(nil, 1, wire.MethodHello, 4)
	for _, p := range []any{wire.VersionMin, wire.VersionMax, make([]byte, 16), "vandal"} {
		b, _ = wire.AppendEncoded(b, p) // none of these fails
	}
	return b
}

func sendHalf(conn *net.UnixConn, random *rand.Rand) error {
	hello := greeting()
	_, err := conn.Write(hello[:1+random.IntN(len(hello)-1)])
	return err
}

func readNothing(conn *net.UnixConn, random *rand.Rand) error {
	requests := greeting()
	for id := range uint32(1 + random.IntN(500)) {
		requests = wire.AppendRequestHeader(requests, id+2, wire.MethodStatus, 0)
	}
	_, err := conn.Write(requests)
	return err
}

func sendDescriptors(conn *net.UnixConn, random *rand.Rand) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	fds := make([]int, 1+random.IntN(200))
	for i := range fds {
		fds[i] = int(null.Fd())
	}
	rights := syscall.UnixRights(fds...)
	for range 1 + random.IntN(20) {
		if _, _, err := conn.WriteMsgUnix(greeting(), rights, nil); err != nil {
			return err
		}
	}
	return nil
}

// goOnWriting reads no more, and writes until that fails.
func goOnWriting(conn *net.UnixConn, _ *rand.Rand) error {
	if _, err := conn.Write(greeting()); err != nil {
		return err
	}
	_ = conn.CloseRead()
	request := wire.AppendRequestHeader(nil, 2, wire.MethodClients, 0)
	for {
		if _, err := conn.Write(request); err != nil {
			return err
		}
	}
}

// toys are what scribbleOverOwn makes, and what it then asks of them.
var toys = []struct {
	kind    string
	options wire.CreateOptions
	ask     []string // methods whose only parameter is the object, and perhaps a time to wait
}{
	{wire.KindMutex, wire.CreateOptions{}, []string{wire.MethodLock, wire.MethodUnlock}},
	{wire.KindValue, wire.CreateOptions{Code: new("q")}, []string{wire.MethodGet, wire.MethodLock}},
	{wire.KindSemaphore, wire.CreateOptions{Undo: new(true)}, []string{wire.MethodAcquire, wire.MethodPermits}},
	{wire.KindQueue, wire.CreateOptions{MaxSize: new(uint32(7))}, []string{wire.MethodTake, wire.MethodLease}},
	{wire.KindRWLock, wire.CreateOptions{}, []string{wire.MethodLock, wire.MethodUnlock}},
	{wire.KindStream, wire.CreateOptions{}, []string{wire.MethodStat}},
	{wire.KindPipe, wire.CreateOptions{}, []string{wire.MethodStat}},
}

// scribbleOverOwn makes an object, writes random words all over it, works with it over the
// socket, and leaves the daemon to clear it up.
func scribbleOverOwn(socket *net.UnixConn, random *rand.Rand) error {
	conn, err := wire.NewConn(socket)
	if err != nil {
		return err
	}
	uuid := noise(random, 16)
	if _, _, err := exchange(conn, wire.MethodHello, wire.VersionMin, wire.VersionMax, uuid, "vandal"); err != nil {
		return err
	}
	toy := toys[random.IntN(len(toys))]
	result, _, err := exchange(conn, wire.MethodCreate, "", toy.kind, toy.options)
	if err != nil {
		return err
	}
	var a wire.Attachment
	if err := wire.Decode(result, &a); err != nil {
		return err
	}
	_, fds, err := exchange(conn, wire.MethodMap, a.Handle)
	if err != nil {
		return err
	}
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	if len(fds) != 1 {
		return fmt.Errorf("%d descriptors came with map", len(fds))
	}
	bytes, err := unix.Mmap(fds[0], 0, int(a.SegmentSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&bytes[0])), len(bytes)/8)
	page := min(len(words), shm.PageSize/8)
	for range 1 + random.IntN(1_000) {
		at := random.IntN(page)
		if random.IntN(4) == 0 {
			at = random.IntN(len(words))
		}
		atomic.StoreUint64(&words[at], random.Uint64()>>random.IntN(64))
	}
	for range random.IntN(4) {
		method := toy.ask[random.IntN(len(toy.ask))]
		_, _, _ = exchange(conn, method, a.Handle) // whatever comes; it may wait, until the deadline
	}
	return unix.Munmap(bytes)
}
