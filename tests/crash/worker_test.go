package crash

import (
	"errors"
	"fmt"
	"time"

	"github.com/shmd/shmd/status"
)

// A worker counts under the lock, in a bracket: cell 0, the cell of its slot,
// cell 1, in this order, each by a plain load and a plain store. Whenever the
// lock is free, cell 0 = cell 1 = the sum of the slots, unless somebody died
// inside; then whoever gets the notice finds out from the three how far the dead
// had come, and puts it right. c/client.c does the same.

// tryTime is long enough to fall asleep and short enough to leave without the
// lock now and then.
const tryTime = 50 * time.Microsecond

// work counts until cellStop is not 0.
func work(t thing, slot int) error {
	for turn := 0; ; turn++ {
		timeout := time.Duration(-1)
		if turn%4 == 3 {
			timeout = tryTime
		}
		n, err := t.lock(timeout)
		if errors.Is(err, status.TimedOut) {
			continue
		}
		if err == nil && n != nil {
			err = repairCells(t)
		}
		if err != nil {
			return err
		}
		stop, err := t.get(cellStop)
		if err == nil && stop == 0 {
			err = count(t, slot)
		}
		if err = errors.Join(err, t.unlock()); err != nil || stop != 0 {
			return err
		}
	}
}

func count(t thing, slot int) error {
	if err := t.beginWrite(); err != nil {
		return err
	}
	for _, cell := range []int{0, slot, 1} {
		v, err := t.get(cell)
		if err != nil {
			return err
		}
		if err := t.set(cell, v+1); err != nil {
			return err
		}
	}
	return t.endWrite()
}

// cells are a worker's cells.
type cells struct{ a, b, sum int64 }

func readCells(t thing) (c cells, err error) {
	if c.a, err = t.get(0); err != nil {
		return c, err
	}
	if c.b, err = t.get(1); err != nil {
		return c, err
	}
	for i := cellSlots; i < t.length(); i++ {
		v, err := t.get(i)
		if err != nil {
			return c, err
		}
		c.sum += v
	}
	return c, nil
}

// repairCells puts right what the dead left, and marks it consistent.
func repairCells(t thing) error {
	c, err := readCells(t)
	if err != nil {
		return err
	}
	if err := t.beginWrite(); err != nil {
		return err
	}
	switch {
	case c.a == c.b+1 && c.sum == c.b:
		err = t.set(0, c.a-1)
	case c.a == c.b+1 && c.sum == c.a:
		err = t.set(1, c.a)
	case c.a != c.b || c.sum != c.a:
		err = fmt.Errorf("no death explains %+v", c)
	}
	if err = errors.Join(err, t.endWrite()); err != nil {
		return err
	}
	return t.mark()
}
