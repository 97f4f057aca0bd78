package crash

import (
	"sync/atomic"
	"unsafe"
)

// Places in the middle of a latch section where a client cannot be stopped from
// outside: the client does that part by hand, and says so. See halfway_linux_test.go.
const (
	stepLatched = "latched" // the latch is held, of a queue that of the producers; nothing is done
	stepUnlatch = "unlatch" // and given back
	stepRuined  = "ruined"  // the latch is held, or both, and all that is derived is wrong

	// Of a queue:
	stepTaking    = "taking"    // the consumers' latch is held, nothing is done
	stepReserved  = "reserved"  // a slot is being written; no latch
	stepPublished = "published" // the message "halfway" is committed, and in no ring; put latch held
	stepUnwoken   = "unwoken"   // it is put; the latch is free, and nobody is woken
	stepLeased    = "leased"    // the first message is leased, and not counted; take latch held
	stepAcked     = "acked"     // the first message's slot is free, and in no ring; take latch held

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
		if atomic.LoadUint32(&q.TakeLatch)&wordOwnerMask == r.owner {
			return r.unlatch(&q.TakeLatch)
		}
		return r.unlatch(&q.PutLatch)
	case stepWoken:
		return sleepUntilWoken((*uint32)(unsafe.Pointer(&q.NotEmpty)))
	case stepTaking:
		r.latch(&q.TakeLatch)
		return nil
	case stepLeased, stepAcked:
		r.latch(&q.TakeLatch)
		slot, next := r.first(r.ready, q.ReadyHead)
		state := slotFreeState
		if step == stepLeased {
			state = slotLeased + slotDelivery + uint64(r.owner)
		}
		atomic.StoreUint64(&r.descs[slot].State, state)
		atomic.StoreUint64(&q.ReadyHead, next)
		return nil
	}
	r.latch(&q.PutLatch)
	switch step {
	case stepRuined:
		r.latch(&q.TakeLatch)
		for _, derived := range []*uint32{&q.Fresh, &q.LeasedCount, &q.WritingCount, &q.DeadCount} {
			atomic.StoreUint32(derived, 77)
		}
		for _, derived := range []*uint64{&q.ReadyHead, &q.ReadyTail, &q.FreeHead, &q.FreeTail, &r.ready[0],
			&r.free[0]} {
			atomic.StoreUint64(derived, 77)
		}
		atomic.StoreUint64(&q.NextSeq, 0)
	case stepReserved:
		slot := r.popFree()
		ticket := q.NextSeq
		q.NextSeq++
		atomic.StoreUint64(&r.descs[slot].Ticket, ticket)
		atomic.StoreUint64(&r.descs[slot].State, slotWriting|uint64(r.owner))
		q.WritingCount++
		return r.unlatch(&q.PutLatch)
	case stepPublished, stepUnwoken:
		slot := r.popFree()
		d := &r.descs[slot]
		d.Seq = q.NextSeq
		q.NextSeq++
		d.Length = uint32(copy(r.bytes[r.data+uint64(slot)*r.slotSize:], "halfway"))
		atomic.StoreUint64(&d.State, slotReady)
		if step == stepUnwoken {
			at := q.ReadyTail
			atomic.StoreUint64(&r.ready[uint32(at)], at&^placeMask|uint64(slot+1))
			q.ReadyTail = r.after(at)
			err := r.unlatch(&q.PutLatch)
			signal(&q.NotEmpty)
			return err
		}
	}
	return nil
}

// placeMask is the part of a position that says where in the ring it is.
const placeMask = 1<<32 - 1

// after is the position that follows one.
func (r *raw) after(at uint64) uint64 {
	if at += 1<<32 + 1; at&placeMask == uint64(len(r.ready)) {
		at &^= placeMask
	}
	return at
}

// first is the slot at the head of a ring, and the head without it; next = 0 if there is
// none.
func (r *raw) first(ring []uint64, head uint64) (slot uint32, next uint64) {
	entry := atomic.LoadUint64(&ring[uint32(head)])
	if entry>>32 != head>>32 || uint32(entry) == 0 {
		return 0, 0
	}
	return uint32(entry) - 1, r.after(head)
}

// popFree takes a free slot, which there is, with the latch of the producers held.
func (r *raw) popFree() uint32 {
	slot, next := r.first(r.free, r.queue.FreeHead)
	if next == 0 {
		r.queue.Fresh++
		return r.queue.Fresh - 1
	}
	atomic.StoreUint64(&r.queue.FreeHead, next)
	return slot
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
