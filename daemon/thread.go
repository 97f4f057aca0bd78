package daemon

import (
	"sync"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// thread is a thread of control of a client at an rwlock, which a token names: it
// knows what that reads.
type thread struct {
	owner *shm.RWOwner
	reads uint32
	busy  bool // a call acts for it
	// nameless: what it ends is a read that a daemon before let in.
	nameless bool
}

// threadTable holds the threads of one seat that read, or for which a call acts.
// They are forgotten with the seat.
type threadTable struct {
	mu      sync.Mutex
	byToken map[uint32]*thread // protected by mu
	// nameless are reads that a daemon before let in, for tokens that are not known;
	// protected by mu.
	nameless uint32
}

// enter finds a thread and keeps other calls off it until leave. To unlock it need not
// be known, nor counted: it writes, or holds nothing.
func (s *seat) enter(token uint32, unlocks bool) (*thread, error) {
	s.threads.mu.Lock()
	defer s.threads.mu.Unlock()
	t := s.threads.byToken[token]
	switch {
	case t == nil && unlocks && s.threads.nameless > 0:
		t = &thread{owner: shm.MakeRWOwner(s.word, token), nameless: true}
		t.owner.Assume(1)
		return t, nil
	case t == nil && unlocks:
		return &thread{owner: shm.MakeRWOwner(s.word, token)}, nil
	case t == nil:
		if s.client.tokens.Add(1) > wire.TokensMax {
			s.client.tokens.Add(-1)
			return nil, status.New(status.Quota, "", "%d tokens of this connection hold rwlocks or wait for them: "+
				"unlock some", wire.TokensMax)
		}
		if err := s.client.quota.charge(s.client.peer.uid, amount{resTokens, 1}); err != nil {
			s.client.tokens.Add(-1)
			return nil, err
		}
		t = &thread{owner: shm.MakeRWOwner(s.word, token)}
		if s.threads.byToken == nil {
			s.threads.byToken = make(map[uint32]*thread)
		}
		s.threads.byToken[token] = t
	case t.busy:
		return nil, status.New(status.Invalid, "", "a call with token %d waits here already: "+
			"a token is one thread of control", token)
	}
	t.busy = true
	return t, nil
}

// readsNamelessly reports whether the client reads by tokens that are not known.
func (s *seat) readsNamelessly() bool {
	s.threads.mu.Lock()
	defer s.threads.mu.Unlock()
	return s.threads.nameless > 0
}

// leave undoes enter, and forgets a thread that reads no more. A writer is known by
// its token alone.
func (s *seat) leave(token uint32, t *thread) {
	s.threads.mu.Lock()
	defer s.threads.mu.Unlock()
	t.busy = false
	if t.reads == 0 && s.threads.byToken[token] == t {
		delete(s.threads.byToken, token)
		s.forgetTokens(1)
	}
}

// forgetTokens gives back what n threads were counted as.
func (s *seat) forgetTokens(n int) {
	s.client.tokens.Add(-int32(n))
	s.client.quota.release(s.client.peer.uid, amount{resTokens, uint64(n)})
}

// forgetThreads ends all threads, once no call acts for the seat any more.
func (s *seat) forgetThreads() {
	s.threads.mu.Lock()
	defer s.threads.mu.Unlock()
	s.forgetTokens(len(s.threads.byToken))
	s.threads.byToken = nil
}
