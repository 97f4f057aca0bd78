package step

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Where another has been stepped before, a victim may run: up to a breakpoint close
// to where it is to die, and step from there. In a virtual machine a step may cost
// some 20 us.

// anchor is the cheapest place of the route to run to, for who wants to get to
// boundary n: how far it is, and at which of its passes there. 0 = stay.
func (v *stepped) anchor(n int) (ahead, pass int) {
	passes := make(map[uint64]int)
	cheapest := n
	for i, where := range v.route {
		if i > n {
			break
		}
		if where.asleep || v.image.code(where.at) == nil {
			continue
		}
		passes[where.at]++
		// A pass is a stop and a step.
		if cost := 2*passes[where.at] + n - i; i > 0 && cost < cheapest {
			cheapest, ahead, pass = cost, i, passes[where.at]
		}
	}
	return ahead, pass
}

// run runs along the route, and reports how far it got; over = to the end.
func (v *stepped) run(n int, whileAsleep func() error) (ahead int, over bool, err error) {
	ahead, pass := v.anchor(n)
	if ahead == 0 {
		return 0, false, nil
	}
	to := v.route[ahead].at
	if v.where.at == to {
		pass-- // it stands there
	}
	for ; pass > 0; pass-- {
		if err := v.leave(to, whileAsleep); err != nil {
			return 0, false, err
		}
		if err := v.runTo(to, whileAsleep); err != nil {
			return 0, false, err
		}
		if v.where.at == v.image.endAt {
			return ahead, true, nil
		}
	}
	return ahead, false, nil
}

// leave executes the instruction at an address, if it stands there, and sleeps in it if
// that is what it does.
func (v *stepped) leave(at uint64, whileAsleep func() error) error {
	for first := true; v.where.at == at && first || v.where.asleep; first = false {
		if err := v.next(whileAsleep); err != nil {
			return err
		}
	}
	return nil
}

// runTo runs to an address, or to the end of the operation.
func (v *stepped) runTo(to uint64, whileAsleep func() error) error {
	places := []uint64{to, v.image.endAt}
	code := make(map[uint64][]byte)
	for _, at := range places {
		if at == v.where.at {
			continue
		}
		code[at] = v.image.code(at)[:len(breakpoint)]
		if _, err := unix.PtracePokeText(v.id, uintptr(at), []byte(breakpoint)); err != nil {
			return fmt.Errorf("set a breakpoint in process %d: %w", v.id, err)
		}
	}
	if err := unix.PtraceCont(v.id, 0); err != nil {
		return fmt.Errorf("let process %d go on: %w", v.id, err)
	}
	err := v.awaitSleep(func() (bool, error) {
		if whileAsleep != nil && inFutex(v.id) {
			return false, whileAsleep()
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	at := v.regs.trappedAt()
	if code[at] == nil {
		return fmt.Errorf("process %d stops at %v, and not at a breakpoint", v.id, v.where)
	}
	for _, at := range places {
		if code[at] == nil {
			continue
		}
		if _, err := unix.PtracePokeText(v.id, uintptr(at), code[at]); err != nil {
			return fmt.Errorf("clear a breakpoint in process %d: %w", v.id, err)
		}
	}
	v.where.at = at
	return v.regs.jump(v.id, at)
}
