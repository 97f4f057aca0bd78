package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/wire"
)

// twins are a C and a Go process that have the same object open and answer the same
// commands.
type twins struct {
	inC, inGo *measure.Child
	object    io.Closer
	name      string
	service   *service
}

// startTwins creates the object and starts the program of that name, in C and in Go,
// with further arguments before the object's name.
func startTwins(ctx context.Context, s *service, program, name string,
	create func(ctx context.Context, s *service) (io.Closer, error), more ...string) (_ *twins, err error) {
	t := &twins{name: name, service: s}
	if t.object, err = create(ctx, s); err != nil {
		return nil, err
	}
	args := append(append([]string{s.socket}, more...), name)
	if t.inC, err = startC(ctx, program, args...); err != nil {
		return nil, errors.Join(err, t.object.Close())
	}
	if t.inGo, err = startSelf(ctx, program, args...); err != nil {
		return nil, errors.Join(err, t.inC.Stop(), t.object.Close())
	}
	return t, nil
}

func (t *twins) stop() error {
	return errors.Join(t.inC.Stop(), t.inGo.Stop(), t.object.Close())
}

// handOver makes one process sleep for the object until the other gives it.
func (t *twins) handOver(ctx context.Context, from, to *measure.Child) error {
	if err := from.Send("take"); err != nil {
		return err
	}
	if _, err := from.Line(); err != nil {
		return err
	}
	if err := to.Send("take"); err != nil {
		return err
	}
	if err := t.service.untilWaiting(ctx, t.name); err != nil {
		return err
	}
	if err := from.Do("give"); err != nil {
		return err
	}
	if _, err := to.Line(); err != nil {
		return err
	}
	return to.Do("give")
}

// fight lets both take and give at the same time.
func (t *twins) fight(turns int) error {
	_, _, err := both(t.inC, t.inGo, func(c *measure.Child) error { return c.Send("ours %d", turns) })
	return err
}

// both tells two children to work at the same time; their answers.
func both(one, other *measure.Child, tell func(c *measure.Child) error) (a, b string, err error) {
	if err := errors.Join(tell(one), tell(other)); err != nil {
		return "", "", err
	}
	a, err = one.Line()
	b, otherErr := other.Line()
	return a, b, errors.Join(err, otherErr)
}

// untilWaiting returns when somebody sleeps for the object.
func (s *service) untilWaiting(ctx context.Context, ref any) error {
	return s.untilWaitingAll(ctx, ref, 1)
}

// untilWaitingAll returns when so many sleep for the object.
func (s *service) untilWaitingAll(ctx context.Context, ref any, count uint64) error {
	for {
		var st wire.Stat
		if err := s.client.Call(ctx, wire.MethodStat, &st, ref); err != nil {
			return err
		}
		if st.Waiters >= count {
			return nil
		}
	}
}

// asTwin is the frame of a Go twin: one thread, so that its system calls can be
// counted and its processor be chosen, and a client of its own. usage names the
// arguments, the socket first; run gets the others.
func asTwin(args []string, usage string, run func(ctx context.Context, c *shmd.Client, names []string) error) error {
	if len(args) < len(strings.Fields(usage)) {
		return errors.New("want " + usage)
	}
	runtime.LockOSThread()
	ctx := context.Background()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: args[0], Software: "shmd-bench"})
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, c, args[1:]), c.Close())
}
