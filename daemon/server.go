package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// Version is how the daemon names itself.
const Version = "shmd 0.1"

// Server is a running daemon.
type Server struct {
	config   Config       // immutable
	log      *slog.Logger // immutable
	epoch    uint32       // immutable; 1..shm.GenerationMax
	started  time.Time    // immutable
	endpoint *endpoint    // immutable
	// chronicle is nil if nothing survives the daemon; immutable.
	chronicle *chronicle
	registry  *registry   // immutable
	quota     *quota      // immutable
	parker    *shm.Parker // immutable
	zombies   *zombies    // immutable
	metrics   metrics
	// seatsDefault is seats_max of an object whose creator does not say.
	seatsDefault atomic.Uint32
	names        atomic.Pointer[Names]
	serial       atomic.Uint32 // names the daemon's own locks
	unpaid       atomic.Int32  // answers that wait for room

	ctx  context.Context // ends when the server closes
	stop context.CancelFunc
	wg   sync.WaitGroup // every goroutine of the server

	mu         sync.Mutex
	sessions   map[*session]struct{}    // protected by mu
	clients    map[uint64]*client       // protected by mu; zombies included
	nextClient uint64                   // protected by mu
	detached   map[*client]struct{}     // protected by mu; that may come back
	closing    bool                     // protected by mu
	timers     map[*time.Timer]struct{} // protected by mu; of later
	deserted   chan struct{}            // protected by mu; of Deserted, while sessions go on

	tickets ticketClock
}

// metrics are what status tells.
type metrics struct {
	deaths, recoveries atomic.Uint64
	lastRecovery       atomic.Int64 // ns
}

// Start runs a daemon until Shutdown. ctx bounds the start only.
//
// Errors: ErrRunning if another daemon has the socket, status.Invalid for a bad
// Config, status.System.
func Start(ctx context.Context, c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	e, err := reserve(c)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, log: slog.New(limitLog(c.Logger.Handler())), started: time.Now(), endpoint: e,
		quota:    newQuota(c),
		parker:   shm.NewParker(shm.ParkerOptions{WithoutWaitv: c.Without.FutexWaitv}),
		sessions: make(map[*session]struct{}), clients: make(map[uint64]*client),
		timers: make(map[*time.Timer]struct{}), detached: make(map[*client]struct{}),
	}
	s.limit(c)
	s.zombies = &zombies{server: s}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err = s.begin(ctx); err == nil {
		err = e.listen(ctx, c)
	}
	if err != nil {
		return nil, errors.Join(err, s.giveUp())
	}
	s.spawn(s.accept)
	s.log.Info("ready", "socket", c.Socket, "pid", os.Getpid(), "epoch", s.epoch, "budget_bytes", c.BudgetBytes,
		"quota_objects", c.QuotaObjects, "quota_connections", c.QuotaConnections)
	return s, nil
}

// newEpoch chooses the life number of a daemon that nobody was before, as far as it
// knows: it is random, for it must not be that of one whose objects are still mapped. It
// leaves room for as many restarts.
func newEpoch() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return binary.LittleEndian.Uint32(b[:])%(shm.GenerationMax/2) + 1
}

// Deserted returns a channel that is closed when no client is connected, at once if that is
// so now. Who connects later does not matter to it.
func (s *Server) Deserted() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deserted == nil {
		s.deserted = make(chan struct{})
	}
	deserted := s.deserted
	s.checkDeserted()
	return deserted
}

// checkDeserted tells who waits in Deserted; s.mu is held.
func (s *Server) checkDeserted() {
	if s.deserted != nil && len(s.sessions) == 0 {
		close(s.deserted)
		s.deserted = nil
	}
}

// Socket is the path that the daemon listens on.
func (s *Server) Socket() string { return s.config.Socket }

// spawn runs f as one of the server's goroutines.
func (s *Server) spawn(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

// later runs f after a delay, unless the server closes before, or cancel is called.
func (s *Server) later(delay time.Duration, f func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return func() {}
	}
	s.wg.Add(1)
	var t *time.Timer
	t = time.AfterFunc(delay, func() {
		defer s.wg.Done()
		s.mu.Lock() // orders the write of t before
		delete(s.timers, t)
		s.mu.Unlock()
		f()
	})
	s.timers[t] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.Stop() { // else it runs, or the server has stopped it
			delete(s.timers, t)
			s.wg.Done()
		}
	}
}

// acceptRetry is how long accept waits when there are no descriptors left.
const acceptRetry = 50 * time.Millisecond

// accept takes connections until the listener closes.
func (s *Server) accept() {
	for {
		socket, err := s.endpoint.listener.AcceptUnix()
		switch {
		case err == nil:
			s.serve(socket)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			// EMFILE and the like pass; the client waits in the backlog.
			s.log.Warn("accept failed", "error", err)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(acceptRetry):
			}
		}
	}
}

// serve starts the session of a new connection.
func (s *Server) serve(socket *net.UnixConn) {
	conn, err := wire.NewConn(socket)
	if err != nil {
		socket.Close()
		s.log.Warn("connection refused", "error", err)
		return
	}
	cred, err := conn.PeerCredentials()
	if err == nil {
		if err = s.quota.charge(cred.Uid, connectionAmounts...); err != nil {
			refused := *asStatus(err)
			refused.Op = "connect"
			err = &refused
		}
	}
	if err != nil {
		s.refuse(conn, err)
		return
	}
	session := newSession(s, conn, cred.Uid)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.quota.release(cred.Uid, connectionAmounts...)
		conn.Close()
		return
	}
	s.sessions[session] = struct{}{}
	s.mu.Unlock()
	s.spawn(session.run)
}

// connectionAmounts are what a connection takes.
var connectionAmounts = []amount{{resConnections, 1}, {resDescriptors, connectionDescriptors}}

// detachedAmounts are what a client takes that may come back to this daemon.
var detachedAmounts = append([]amount{{resDetached, 1}}, connectionAmounts...)

// refuse says why, as far as that does not block, and closes.
func (s *Server) refuse(conn *wire.Conn, why error) {
	s.log.Warn("connection refused", "error", why)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // the buffer of a new socket is empty
	_ = conn.Write(wire.AppendError(nil, 0, asStatus(why)))
	conn.Close()
}

// enroll makes a client of a session that has said hello, and watches over it.
func (s *Server) enroll(c *client) error {
	s.mu.Lock()
	s.nextClient++
	id := s.nextClient
	s.mu.Unlock()
	if err := s.chronicle.put(clientKey(id), c.peer.pidfd); err != nil {
		return err
	}
	s.mu.Lock()
	c.id = id
	s.clients[id] = c
	s.mu.Unlock()
	s.chronicle.record(c.recorded())
	s.watch(c)
	return nil
}

// watch waits for the death of the client's process.
func (s *Server) watch(c *client) {
	s.spawn(func() {
		if c.peer.waitDeath() {
			s.died(c)
		}
	})
}

// forget ends a client for good.
func (s *Server) forget(c *client) {
	s.mu.Lock()
	delete(s.clients, c.id)
	s.mu.Unlock()
	s.chronicle.record(&journal.ClientGone{ID: c.id})
	s.chronicle.drop(clientKey(c.id))
	c.peer.close()
	s.disconnected(c)
}

// word is the daemon's own owner word.
func (s *Server) word() uint32 { return shm.OwnerWord(shm.SeatDaemon, s.epoch) }

// own is how the daemon itself locks, for one call: seat 4095, its epoch, and a
// serial that no other call has.
func (s *Server) own() shm.Access {
	o := shm.MakeOwner(s.word(), s.serial.Add(1))
	return shm.Access{Self: o, Holder: o}
}

// Shutdown ends the daemon: it stops listening, answers the calls that wait with
// Lost, and closes all connections. With a keeper, the next daemon on the socket goes on
// where this one ended, and clients come back to it; a keeper that would hold nothing is
// ended. Without one it is as End. When ctx ends before the clients have read their last
// answers, they are cut off, and the error is ctx's.
func (s *Server) Shutdown(ctx context.Context) error { return s.shutdown(ctx, s.chronicle == nil) }

// End is Shutdown for good: what clients without mappings hold is given back, and the
// keeper is ended, unless it is a supervised one. Mapped objects go on working among
// their clients.
func (s *Server) End(ctx context.Context) error { return s.shutdown(ctx, true) }

func (s *Server) shutdown(ctx context.Context, forGood bool) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closing = true
	sessions := make([]*session, 0, len(s.sessions))
	for session := range s.sessions {
		sessions = append(sessions, session)
	}
	for t := range s.timers {
		if t.Stop() {
			s.wg.Done()
		}
	}
	s.mu.Unlock()
	s.stop()
	s.endpoint.close()
	for _, session := range sessions {
		session.stop()
	}
	cut := context.AfterFunc(ctx, func() {
		for _, session := range sessions {
			session.conn.Close()
		}
	})
	done := make(chan struct{})
	go func() {
		for _, session := range sessions {
			<-session.done
		}
		close(done)
	}()
	<-done
	var err error
	if !cut() {
		err = ctx.Err()
	}
	if forGood {
		s.leave()
	}
	// What is left are mapped clients, and their death watches.
	s.mu.Lock()
	needed := len(s.clients) > 0
	for _, c := range s.clients {
		c.peer.close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	objects, _ := s.registry.totals()
	err = errors.Join(err, s.chronicle.close(forGood || !needed && objects == 0))
	s.registry.close()
	s.log.Info("stopped")
	return err
}
