package crash

import (
	"sync/atomic"
	"unsafe"
)

// Places in the middle of a latch section where a client cannot be stopped from
// outside: the client does that part by hand, and says so. See halfway_linux_test.go.
const (
	stepLatched = "latched" // the latch is held, nothing is done
	stepUnlatch = "unlatch" // and given back
	stepRuined  = "ruined"  // the latch is held, and all that is derived is wrong

	// Of a queue:
	stepReserved  = "reserved"  // a slot is being written; no latch
	stepPublished = "published" // the message "halfway" is committed, and in no list; latch held
	stepUnwoken   = "unwoken"   // it is put; the latch is free, and nobody is woken
	stepLeased    = "leased"    // the first message is leased, and not counted; latch held
	stepAcked     = "acked"     // the first message's slot is free, and in no list; latch held

	// Of a semaphore with undo:
	stepHeld     = "held"     // one permit is acquired; no latch
	stepAcquired = "acquired" // one permit is held, and still available; latch held
	stepReturned = "returned" // the held permit is not, and not available yet; latch held
	// stepUnwoken gives the held one back, too.

	// stepWoken is a sleeper's who wants a message, or one permit.
)

const (
	slotStateShift = 32
	slotDelivery   = 1 << 36
	slotFreeState  = uint64(0) << slotStateShift
	slotWriting    = uint64(1) << slotStateShift
	slotReady      = uint64(2) << slotStateShift
	slotLeased     = uint64(3) << slotStateShift
)

// halfway goes to a step and says its name.
func (m *messenger) halfway(name, step string) string {
	r := m.raws[name]
	if r == nil {
		var err error
		if r, err = openRaw(name); err != nil {
			return outcome(err)
		}
		m.raws[name] = r
	}
	var err error
	if r.queue != nil {
		err = r.queueHalfway(step)
	} else {
		err = r.semaphoreHalfway(step)
	}
	if err != nil {
		return err.Error()
	}
	return step
}

func (r *raw) queueHalfway(step string) error {
	q := r.queue
	switch step {
	case stepUnlatch:
		return r.unlatch(&q.Latch)
	case stepWoken:
		return sleepUntilWoken((*uint32)(unsafe.Pointer(&q.NotEmpty)))
	}
	r.latch(&q.Latch)
	switch step {
	case stepRuined:
		for _, derived := range []*uint32{&q.ReadyHead, &q.ReadyCount, &q.FreeCount, &q.LeasedCount, &q.WritingCount,
			&q.DeadCount, &r.ready[0], &r.free[0]} {
			atomic.StoreUint32(derived, 77)
		}
		atomic.StoreUint64(&q.NextSeq, 0)
	case stepReserved:
		slot := r.popFree()
		ticket := q.NextSeq
		q.NextSeq++
		atomic.StoreUint64(&r.descs[slot].Ticket, ticket)
		atomic.StoreUint64(&r.descs[slot].State, slotWriting|uint64(r.owner))
		q.WritingCount++
		return r.unlatch(&q.Latch)
	case stepPublished, stepUnwoken:
		slot := r.popFree()
		d := &r.descs[slot]
		d.Seq = q.NextSeq
		q.NextSeq++
		d.Length = uint32(copy(r.bytes[r.data+uint64(slot)*r.slotSize:], "halfway"))
		atomic.StoreUint64(&d.State, slotReady)
		if step == stepUnwoken {
			r.ready[(q.ReadyHead+q.ReadyCount)%uint32(len(r.ready))] = slot
			q.ReadyCount++
			signal(&q.NotEmpty)
			return r.unlatch(&q.Latch)
		}
	case stepLeased, stepAcked:
		slot := r.ready[q.ReadyHead]
		q.ReadyHead = (q.ReadyHead + 1) % uint32(len(r.ready))
		q.ReadyCount--
		state := slotFreeState
		if step == stepLeased {
			state = slotLeased + slotDelivery + uint64(r.owner)
		}
		atomic.StoreUint64(&r.descs[slot].State, state)
	}
	return nil
}

// popFree takes a free slot off the stack, with the latch held.
func (r *raw) popFree() uint32 {
	r.queue.FreeCount--
	return r.free[r.queue.FreeCount]
}

func (r *raw) semaphoreHalfway(step string) error {
	s := r.semaphore
	switch step {
	case stepUnlatch:
		return r.unlatch(&s.Latch)
	case stepWoken:
		return sleepUntilWoken((*uint32)(unsafe.Pointer(&s.One)))
	}
	r.latch(&s.Latch)
	switch step {
	case stepRuined:
		atomic.StoreUint32(&s.Available, 77)
	case stepAcquired:
		atomic.AddUint32(r.held, 1)
	case stepHeld:
		atomic.AddUint32(r.held, 1)
		atomic.AddUint32(&s.Available, ^uint32(0))
		return r.unlatch(&s.Latch)
	case stepReturned:
		atomic.AddUint32(r.held, ^uint32(0))
	case stepUnwoken:
		atomic.AddUint32(r.held, ^uint32(0))
		atomic.AddUint32(&s.Available, 1)
		signal(&s.One)
		return r.unlatch(&s.Latch)
	}
	return nil
}
