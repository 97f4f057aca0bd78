package step

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// stage is a daemon with peers, for scenes that are played one after the other by
// one goroutine, which is locked to its thread: the tracer.
type stage struct {
	t *testing.T
	*harness.Daemon
	flavour  flavour
	image    *image
	sabotage string // of the daemon; "" = none
	ctl      *shmd.Client
	peers    []*peer
	tally    *tally
	objects  int // made so far
	number   int // of messages so far

	// Of the scene.
	scene   *scene
	victims company
	name    string // of the object
	segment *harness.Segment
	mutex   *harness.Segment // the one that the object is bound to; nil = none
	pool    *pool

	// Of the death.
	rules     rules
	released  bool
	died      bool
	recovered bool
}

// warmName is a mutex that is always held.
const warmName = "warm"

func newStage(t *testing.T, f flavour, sabotage string, c company, y *tally) *stage {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	o := harness.DaemonOptions{Flags: []string{"--log-level", "warn"}} // thousands die
	if sabotage != "" {
		o.Program, o.Env = harness.Program(t, "shmd-sabotage"), []string{"SHMD_SABOTAGE=" + sabotage}
	}
	s := &stage{t: t, Daemon: harness.StartDaemonWith(t, o), flavour: f, image: loadImage(t), sabotage: sabotage,
		victims: c, tally: y}
	s.ctl = s.Dial(t)
	if err := s.holdWarm(); err != nil {
		t.Fatal(err)
	}
	s.startPeers()
	return s
}

// holdWarm makes and takes the mutex that is always held: over the socket, so that
// this process maps nothing.
func (s *stage) holdWarm() error {
	var a wire.Attachment
	ctx := context.Background()
	if err := s.ctl.Call(ctx, wire.MethodCreate, &a, warmName, wire.KindMutex, wire.CreateOptions{}); err != nil {
		return err
	}
	return s.ctl.Call(ctx, wire.MethodLock, nil, a.Handle)
}

// play plays a scene at the given boundaries, at each with a new victim, and
// counts.
func (s *stage) play(sc *scene, p plan) {
	s.t.Helper()
	s.scene = sc
	if err := s.prepare(); err != nil {
		s.t.Fatalf("%v: %v", sc, err)
	}
	defer s.strike()
	if err := s.victims.play(s, p); err != nil {
		s.t.Fatalf("%s victim, %s peers: %v: %v", s.victims, s.flavour, sc, err)
	}
}

// prepare makes the object of the scene.
func (s *stage) prepare() (err error) {
	s.objects++
	s.name = fmt.Sprintf("%s-%d", s.scene.kind, s.objects)
	options := s.scene.options
	if s.scene.bound {
		if s.mutex, err = s.create(s.mutexName(), wire.KindMutex, wire.CreateOptions{}); err != nil {
			return err
		}
		options.Lock = "@" + s.mutexName()
	}
	if s.segment, err = s.create(s.name, s.scene.kind, options); err != nil {
		return err
	}
	open := s.scene.kind + " open " + s.name
	for _, p := range s.peers {
		if err := s.want(p, open, "ok"); err != nil {
			return err
		}
		if p.seat, err = s.seatIn(s.name, p.PID()); err != nil {
			return err
		}
		if s.scene.bound {
			if p.mutexSeat, err = s.seatIn(s.mutexName(), p.PID()); err != nil {
				return err
			}
		}
	}
	if err := s.spoil(open); err != nil {
		return err
	}
	path, env := s.victims.program(s)
	s.pool = newPool(path, s.Socket, env, "warm "+warmName, open)
	return nil
}

func (s *stage) mutexName() string { return s.name + "-mutex" }

// create makes an object, keeps no handle on it, and looks at its segment.
func (s *stage) create(name, kind string, o wire.CreateOptions) (*harness.Segment, error) {
	var a wire.Attachment
	if err := s.ctl.Call(context.Background(), wire.MethodCreate, &a, name, kind, o); err != nil {
		return nil, err
	}
	return s.Segment(a.ID), s.ctl.Call(context.Background(), wire.MethodClose, nil, a.Handle)
}

// spoil lets one more client die, with what it holds.
func (s *stage) spoil(open string) error {
	if s.scene.spoil == nil {
		return nil
	}
	p, err := spawn(s.image.path, s.Socket)
	if err != nil {
		return err
	}
	defer p.kill()
	for _, line := range append([]string{open}, s.scene.spoil...) {
		if err := p.do(line); err != nil {
			return err
		}
	}
	p.kill()
	return s.awaitRecovered(p.id)
}

// leave lets go of the object and the victims that nobody needs.
func (s *stage) leave() {
	if s.pool == nil {
		return
	}
	s.pool.close()
	s.pool = nil
	s.segment.Close()
	if s.mutex != nil {
		s.mutex.Close()
	}
}

// strike ends the scene.
func (s *stage) strike() {
	s.leave()
	names := []string{s.name}
	if s.mutex != nil {
		names = append(names, s.mutexName())
		s.mutex = nil
	}
	for _, name := range names {
		if err := s.ctl.Destroy(context.Background(), name); err != nil {
			s.t.Error(err)
		}
	}
}

// again replaces what a hang or the scene has used up.
func (s *stage) again() error {
	s.strike()
	return s.prepare()
}

// seatIn is the seat of a process in an object; 0 = none.
func (s *stage) seatIn(name string, pid int) (uint16, error) {
	var st wire.Stat
	if err := s.ctl.Call(context.Background(), wire.MethodStat, &st, name); err != nil {
		return 0, err
	}
	for _, seat := range st.Seats {
		if seat.PID == int32(pid) {
			return uint16(seat.Seat), nil
		}
	}
	return 0, nil
}

// awaitRecovered waits until a dead process has no seat in the object any more, nor in
// the mutex that it is bound to.
func (s *stage) awaitRecovered(pid int) error {
	names := []string{s.name}
	if s.mutex != nil {
		names = append(names, s.mutexName())
	}
	for giveUp := s.deadline(); len(names) > 0; {
		seat, err := s.seatIn(names[0], pid)
		switch {
		case err != nil:
			return err
		case seat == 0:
			names = names[1:]
		case giveUp.passed():
			return fmt.Errorf("%w: process %d is not recovered", errHung, pid)
		}
	}
	return nil
}
