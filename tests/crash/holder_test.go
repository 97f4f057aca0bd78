package crash

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/shmd/shmd/wire"
)

// TestHolderKilled kills the holder of each kind of lock, inside an open bracket
// if there is one, while a client of each flavour sleeps for it.
func TestHolderKilled(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, sub := range subjects {
			for _, f := range flavours {
				t.Run(sub.name+"/"+string(f), func(t *testing.T) {
					s := newScene(t, flags...)
					holder := s.start(f, nil)
					s.inherit(sub, holder, hold(holder, sub), holder.Kill)
				})
			}
		}
	})
}

// hold makes a client hold the subject's lock, in the middle of writing. It
// returns what it has written.
func hold(c *client, sub subject) (pair string) {
	c.t.Helper()
	c.do("open "+sub.kind+" "+sub.object, "ok")
	c.do("lock "+sub.object, "held")
	if sub.bracket {
		c.do("begin "+sub.object, "ok")
		c.do("set "+sub.object+" 0 7", "ok")
	}
	return "values 7 0"
}

// heir is what is expected of the process that dies.
type heir struct {
	pid int32
	uid uint32
}

// inherit is inheritFrom for a client in the daemon's pid namespace, of the
// test's user.
func (s *scene) inherit(sub subject, holder *client, pair string, kill func()) {
	s.t.Helper()
	s.inheritFrom(sub, heir{int32(holder.PID()), uint32(os.Getuid())}, pair, kill)
}

// inheritFrom lets clients sleep for a lock, kills its holder, and wants each of
// them to get it in turn with the notice, until one puts things right.
func (s *scene) inheritFrom(sub subject, dead heir, pair string, kill func()) {
	t := s.t
	t.Helper()
	seat := s.seatOf(sub.lockBy, dead.pid)
	deaths := s.stat(sub.lockBy).Deaths
	waiters := s.startWaiters(sub, 0)
	if st := s.stat(sub.object); st.Dirty || st.Held == nil || st.Held.PID != dead.pid || st.Held.Seat != seat {
		t.Fatalf("before the death the object is %+v, held by %+v; want seat %d, pid %d", st, st.Held, seat, dead.pid)
	}
	before := time.Now().UnixNano()
	kill()
	for left := len(waiters); left > 0; left-- {
		heir := s.awaitHolder(sub, waiters)
		n := heir.notice()
		if n.Seat != seat || n.PID != dead.pid || n.UID != dead.uid || n.Deaths != deaths+1 ||
			n.DiedNS < before || n.DiedNS > time.Now().UnixNano() {
			t.Fatalf("the notice is %+v, want seat %d, pid %d, uid %d, deaths %d, died after %d",
				n, seat, dead.pid, dead.uid, deaths+1, before)
		}
		st := s.stat(sub.object)
		if !st.Inconsistent || st.LastDeath == nil || *st.LastDeath != n || st.Dirty != sub.bracket {
			t.Fatalf("after the death the object is %+v, with the death %+v", st, st.LastDeath)
		}
		if sub.bracket {
			page, err := s.Segment(st.ID).Page()
			if err != nil {
				t.Fatal(err)
			}
			if page.Sequence.Word&1 != 0 {
				t.Fatalf("the bracket of the dead is still open: %#x", page.Sequence.Word)
			}
			heir.do("pair "+sub.object, pair+" dirty")
			// Who does not take the lock is told too.
			var reader wire.Attachment
			var cut wire.ReadResult
			s.call(wire.MethodOpen, &reader, sub.object)
			s.call(wire.MethodRead, &cut, reader.Handle)
			if !cut.Dirty {
				t.Fatal("a snapshot from outside is not dirty")
			}
			s.call(wire.MethodClose, nil, reader.Handle)
		}
		if left == 1 {
			s.repair(sub, heir, pair)
		}
		heir.do("unlock "+sub.object, "ok")
	}
	for _, w := range waiters {
		w.do("lock "+sub.object, "held")
		w.do("unlock "+sub.object, "ok")
	}
}

// repair marks the subject consistent, and wants that seen.
func (s *scene) repair(sub subject, c *client, pair string) {
	s.t.Helper()
	c.do("mark "+sub.object, "ok")
	if sub.bracket {
		c.do("pair "+sub.object, pair+" clean")
		c.do("begin "+sub.object, "ok")
		c.do("set "+sub.object+" 0 0", "ok")
		c.do("end "+sub.object, "ok")
		c.do("pair "+sub.object, "values 0 0 clean")
	}
	if sub.object != sub.lockBy {
		// The mutex may guard more than this array: it is marked by itself.
		c.do("unlock "+sub.object, "ok")
		c.do("open mutex "+sub.lockBy, "ok")
		c.Send("lock " + sub.lockBy)
		c.notice()
		c.do("mark "+sub.lockBy, "ok")
		c.do("unlock "+sub.lockBy, "ok")
		c.do("close "+sub.lockBy, "ok")
		c.do("lock "+sub.object, "held")
	}
	if st := s.stat(sub.object); st.Inconsistent || st.Dirty {
		s.t.Fatalf("marked consistent, the object is %+v", st)
	}
}

// TestHolderInPidNamespace kills a holder in a pid namespace of its own: there it
// is process 1, here it has the number that the notice tells.
func TestHolderInPidNamespace(t *testing.T) {
	needRoot(t, "a new pid namespace")
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, f := range flavours {
			t.Run(string(f), func(t *testing.T) {
				s := newScene(t, flags...)
				sub := subjects[1]
				holder := s.start(f, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
				s.inherit(sub, holder, hold(holder, sub), holder.Kill)
			})
		}
	})
}

func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("%s needs root", why)
	}
}
