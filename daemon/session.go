package daemon

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const (
	// inputMin is the read buffer of a quiet connection.
	inputMin = 4 << 10
	// inputBusy is the read buffer of one that fills the small one.
	inputBusy = 64 << 10
	// flushAt bounds the answers that are collected before they are written.
	flushAt = 64 << 10
	// answerGrace is how long the last answers may take to be written.
	answerGrace = time.Second
	// roomRetry is how long a connection waits for room before it looks again; each time
	// twice as long, up to roomRetryMax.
	roomRetry    = 10 * time.Millisecond
	roomRetryMax = 640 * time.Millisecond
	// unpaidMax is how many answers may wait for room at once.
	unpaidMax = 16
)

// session is one connection. Fields without a lock belong to the read loop.
type session struct {
	server *Server       // immutable
	conn   *wire.Conn    // immutable
	uid    uint32        // immutable; of the peer, for the quota
	done   chan struct{} // closed when the read loop has ended
	// acceptedAt, after boot, is later than the start of the client's process.
	acceptedAt time.Duration // immutable

	client  *client // nil before hello; set once by the read loop
	in      []byte  // received; in[start:end] is not consumed yet
	start   int
	end     int
	scanner wire.Scanner
	out     []byte    // answers to write
	short   [512]byte // a short message on its way from a queue to out
	inPaid  uint64    // bytes of in that the user is charged for
	outPaid uint64    // bytes of out that the user is charged for
	idle    *call     // that nobody has any more; nil = there is none
	bye     *call     // by which the client said it; answered when all is given back
	broken  bool      // the connection must end after the next flush
	unheard bool      // nobody reads answers any more

	stopping  chan struct{} // closed by stop
	stopOnce  sync.Once
	draining  chan struct{} // closed by drain
	drainOnce sync.Once

	pending pendingSet

	handlesMu  sync.Mutex
	handles    map[uint64]*handle // protected by handlesMu; nil once taken
	nextHandle uint64             // protected by handlesMu

	writeMu sync.Mutex
	mute    error // protected by writeMu; nobody reads answers any more
}

func newSession(server *Server, conn *wire.Conn, uid uint32) *session {
	return &session{
		server: server, conn: conn, uid: uid, acceptedAt: sinceBoot(),
		done: make(chan struct{}), stopping: make(chan struct{}), draining: make(chan struct{}),
		in: make([]byte, inputMin), handles: make(map[uint64]*handle),
	}
}

// run reads, executes and answers until the connection ends, and then gives back
// what the client has, if it is gone with it.
func (s *session) run() {
	defer close(s.done)
	_ = s.conn.SetReadDeadline(time.Now().Add(s.server.config.HelloTimeout))
	err := s.loop()
	if s.client != nil {
		s.client.notice()
	}
	s.finish(err)
}

// loop returns why the connection ended.
func (s *session) loop() error {
	for {
		for !s.broken {
			request, n, err := s.scanner.NextRequest(s.in[s.start:s.end])
			if err != nil {
				s.reject(request.ID, err)
				break
			}
			if n == 0 {
				break
			}
			s.start += n
			s.dispatch(request)
			if len(s.out) >= flushAt {
				s.flush()
			}
		}
		s.flush()
		if s.broken {
			return nil
		}
		if err := s.receive(); err != nil {
			return err
		}
	}
}

// receive waits for bytes.
func (s *session) receive() error {
	if err := s.makeRoom(); err != nil {
		s.reject(0, err)
		s.flush()
		return err
	}
	n, fds, cred, err := s.conn.Read(s.in[s.end:])
	if err != nil {
		s.farewell(err)
		return err
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	switch {
	case len(fds) > 0:
		s.reject(0, status.New(status.BadFrame, "receive", "%d descriptors came; clients never send any", len(fds)))
	case cred == nil:
		s.reject(0, status.New(status.Identity, "receive", "the kernel does not say who sent these bytes"))
	case s.client != nil && cred.Pid != s.client.peer.pid:
		s.reject(0, status.New(status.Identity, "receive", "process %d sent bytes on the connection of process %d: "+
			"connect after forking or daemonising", cred.Pid, s.client.peer.pid))
	case s.client == nil:
		if err := s.introduce(cred); err != nil {
			s.reject(0, err)
		}
	}
	if s.broken {
		s.flush()
		return errRejected
	}
	s.end += n
	return nil
}

var errRejected = errors.New("the client broke the protocol")

// makeRoom moves what is not consumed to the front and sizes the buffer: small
// while the connection is quiet, as large as the message that is on its way, which
// its user pays for.
func (s *session) makeRoom() error {
	have := s.end - s.start
	size := len(s.in)
	switch {
	case have == 0 && size > inputBusy:
		size = inputMin
	case have == 0 && s.end == size:
		size = inputBusy
	case have >= size/2:
		size = max(2*size, inputBusy)
	}
	if size != len(s.in) {
		if err := s.payOrWait(&s.inPaid, size); err != nil {
			return err
		}
		sized := make([]byte, size)
		copy(sized, s.in[s.start:s.end])
		s.in = sized
	} else {
		copy(s.in, s.in[s.start:s.end])
	}
	s.start, s.end = 0, have
	return nil
}

// payFor charges the session's user for a buffer of size bytes, of which a first
// part is free, in place of what was paid for it so far.
func (s *session) payFor(paid *uint64, size int) error {
	cost := uint64(max(0, size-inputBusy))
	q := s.server.quota
	if cost > *paid {
		if err := q.charge(s.uid, amount{resBuffers, cost - *paid}); err != nil {
			return err
		}
	} else if cost < *paid {
		q.release(s.uid, amount{resBuffers, *paid - cost})
	}
	*paid = cost
	return nil
}

// payOrWait is payFor, but waits until there is room, for as long as a client may keep
// others waiting. What is not read meanwhile stays with the client.
func (s *session) payOrWait(paid *uint64, size int) error {
	err := s.payFor(paid, size)
	if err == nil {
		return nil
	}
	end := time.NewTimer(s.server.config.RoomTimeout)
	defer end.Stop()
	for pause := roomRetry; err != nil; pause = min(2*pause, roomRetryMax) {
		select {
		case <-time.After(pause): // not woken: thousands may wait for the same room
		case <-s.draining:
			return err
		case <-end.C:
			return err
		}
		err = s.payFor(paid, size)
	}
	return nil
}

// enterUnpaid counts one in of those that wait for room for an answer that is there
// already, which nobody has paid for; false if there are enough.
func (s *Server) enterUnpaid() bool {
	if s.unpaid.Add(1) <= unpaidMax {
		return true
	}
	s.unpaid.Add(-1)
	return false
}

// farewell tells the client why its connection ends, where it may not know.
func (s *session) farewell(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.reject(0, status.New(status.Identity, "hello", "it did not come within %v of connecting",
			s.server.config.HelloTimeout))
		s.flush()
	case errors.Is(err, status.BadFrame):
		s.reject(0, err)
		s.flush()
	}
}

// introduce finds out who the client is, from the kernel, at its first bytes.
func (s *session) introduce(cred *unix.Ucred) error {
	p, err := identify(s.conn.Socket(), s.acceptedAt, s.server.config.Without.PeerPIDFD)
	if err != nil {
		return err
	}
	if cred.Pid != p.pid {
		p.close()
		return status.New(status.Identity, "receive", "process %d sent bytes on the connection of process %d: "+
			"connect after forking or daemonising", cred.Pid, p.pid)
	}
	s.client = &client{peer: p, session: s, quota: s.server.quota,
		seats: make(map[uint64]*seat), owned: make(map[uint64]*object)}
	return nil
}

// reject answers a message that breaks the protocol; the connection ends.
func (s *session) reject(id uint32, err error) {
	s.server.log.Info("connection closed for breaking the protocol", "uid", s.uid, "error", err)
	s.out = wire.AppendError(s.out, id, asStatus(err))
	s.broken = true
}

// flush writes the collected answers. It blocks while the client does not read:
// that is the back-pressure. A user whose connections keep too many bytes that way
// loses the one that would keep more, unless there is room for it in time.
func (s *session) flush() {
	if len(s.out) == 0 {
		return
	}
	err := s.payFor(&s.outPaid, len(s.out))
	if err != nil && s.server.enterUnpaid() {
		err = s.payOrWait(&s.outPaid, len(s.out))
		s.server.unpaid.Add(-1)
	}
	if err != nil {
		s.out = nil
		s.reject(0, err)
	}
	s.unheard = s.write(s.out) != nil // the read side notices the end
	if cap(s.out) > 2*flushAt {
		s.out = nil
	}
	s.out = s.out[:0]
	_ = s.payFor(&s.outPaid, 0) // paying less never fails
}

// write sends one or more whole messages. After the first error nothing is sent
// any more; what was received before is executed all the same.
func (s *session) write(b []byte) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.mute == nil {
		s.mute = s.conn.Write(b)
	}
	return s.mute
}

// writeWithFile sends one message with a descriptor. Busy: nothing was sent, because the
// kernel keeps too many descriptors that nobody has received yet.
func (s *session) writeWithFile(b []byte, fd int) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.mute != nil {
		return s.mute
	}
	err := s.conn.WriteWithFiles(b, []int{fd})
	if errors.Is(err, unix.ETOOMANYREFS) { // only before the first byte
		return status.New(status.Busy, "", "clients have not received too many descriptors that were sent to them: "+
			"receive yours, and try again")
	}
	s.mute = err
	return err
}

// stop ends the session for a shutdown: what was received is still answered.
func (s *session) stop() {
	s.stopOnce.Do(func() { close(s.stopping) })
	s.drain(answerGrace)
}

// drain makes the read loop end once it has consumed what has arrived, whoever
// still holds the other end, and keeps it from blocking on answers for longer
// than grace.
func (s *session) drain(grace time.Duration) {
	s.drainOnce.Do(func() { close(s.draining) })
	_ = s.conn.SetWriteDeadline(time.Now().Add(grace))
	_ = s.conn.Socket().CloseRead()
}

// stopped reports whether stop was called.
func (s *session) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// finish ends the session after its read loop: no call is left running when it
// comes to the client's seats.
func (s *session) finish(err error) {
	why := errGone
	if s.stopped() {
		why = errShutdown
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(answerGrace))
	if why == errGone && s.bye == nil {
		// Whoever still listens was told; a waiting call has nobody to tell.
		s.conn.Close()
		if s.client != nil {
			s.server.mourn(s.client)
		}
	}
	s.pending.end(why)
	s.pending.wg.Wait()
	s.in, s.out = nil, nil
	_ = s.payFor(&s.inPaid, 0) // paying less never fails
	s.server.ended(s)
	if s.bye != nil {
		_ = s.write(wire.AppendNil(wire.AppendResultHeader(nil, s.bye.id))) // it need not wait for it
	}
	s.conn.Close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.server.log.Debug("connection ended", "uid", s.uid, "error", err)
	}
}
