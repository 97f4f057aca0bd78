package daemon

import (
	"errors"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// build creates an object; the caller unpins it. Everything is charged first.
func (s *Server) build(c *client, b *blueprint) (*object, error) {
	o := &object{
		name: b.name, geometry: b.geometry, uid: c.peer.uid, gid: c.peer.gid, mode: b.mode, lifetime: b.lifetime,
	}
	if err := s.names.Load().permits(c.peer, b.name); err != nil {
		return nil, err
	}
	if err := s.registry.vacant(b.name); err != nil {
		return nil, err
	}
	if b.lifetime == lifetimeOwned {
		o.creator = c
	}
	if b.lock != (ref{}) {
		guard, err := s.guardFor(c, b)
		if err != nil {
			return nil, err
		}
		defer s.registry.unpin(guard)
		o.guard, o.geometry.LockID = guard, guard.id
	}
	size := b.geometry.SegmentSize
	if err := s.registry.chargeWithRoom(o.uid, size); err != nil {
		return nil, named(err, b.name)
	}
	if err := s.buildSegment(o, b.init); err != nil {
		s.registry.discharge(o.uid, size)
		return nil, named(err, b.name)
	}
	if err := s.registry.insert(o); err != nil {
		s.registry.dispose([]*object{o})
		return nil, err
	}
	s.point("created")
	s.log.Debug("object created", "object", o.label(), "id", o.id, "kind", o.geometry.Kind, "bytes", size,
		"uid", c.peer.uid)
	return o, nil
}

// guardFor finds the mutex that shall guard an object; the caller unpins it.
func (s *Server) guardFor(c *client, b *blueprint) (*object, error) {
	guard, err := s.registry.pin(b.lock)
	if err != nil {
		return nil, err
	}
	s.registry.mu.Lock()
	err = guard.permits(c.peer, modeRead|modeWrite)
	s.registry.mu.Unlock()
	switch {
	case err != nil:
	case guard.geometry.Kind != shm.KindMutex:
		err = status.New(status.KindMismatch, "",
			"it is %s; the lock of an object is a mutex", guard.describe()).On(guard.label())
	case b.geometry.Kind.HasData() && guard.geometry.Flags.Has(shm.FlagUnlockAny):
		// Brackets belong to who holds the lock, and with unlock_any that is unknown.
		err = status.New(status.OptionMismatch, "",
			"a mutex with unlock_any cannot be the lock of an object").On(guard.label())
	}
	if err != nil {
		s.registry.unpin(guard)
		return nil, err
	}
	return guard, nil
}

func (s *Server) buildSegment(o *object, init []byte) (err error) {
	o.id = s.registry.newID()
	o.geometry.ID, o.geometry.CreatedNs = o.id, uint64(nowNs())
	options := s.segmentOptions()
	o.segment, o.file, err = shm.CreateSegment(o.geometry, options)
	if err != nil {
		return err
	}
	copy(o.segment.Data(), init)
	o.equip(s.registry, options)
	o.segment.Publish()
	if err := s.chronicle.put(objectKey(o.id), o.file); err != nil {
		_ = o.segment.Unmap() // nothing can be done about it, and nothing refers to it
		return errors.Join(err, o.file.Close())
	}
	s.point("create")
	return nil
}

func (s *Server) segmentOptions() shm.SegmentOptions {
	return shm.SegmentOptions{Epoch: s.epoch, WithoutNoexecSeal: s.config.Without.NoexecSeal}
}

// equip gives the object what its kind has.
func (o *object) equip(r *registry, options shm.SegmentOptions) {
	switch o.geometry.Kind {
	case shm.KindEvent:
		o.event = o.segment.Event()
	case shm.KindCondition:
		o.lock = o.guard.lock
		o.condition = o.segment.Condition(o.lock)
	case shm.KindBarrier:
		o.barrier = o.segment.Barrier()
	case shm.KindRWLock:
		o.rwlock = o.segment.RWLock()
	case shm.KindStream:
		o.stream = o.segment.Stream()
	case shm.KindPipe:
		o.pipe = o.segment.Pipe()
	case shm.KindSemaphore:
		o.semaphore = o.segment.Semaphore()
	case shm.KindQueue:
		o.queue = o.segment.Queue()
		if o.geometry.MessageMax > o.geometry.SlotSize {
			o.sides = newSideTable(o, r, options)
			o.queue.WithSides(o.sides)
		}
	case shm.KindMutex:
		o.lock = o.segment.Lock()
	default:
		if o.guard != nil {
			o.lock = o.guard.lock
		} else if !o.geometry.Flags.Has(shm.FlagLockNone) {
			o.lock = o.segment.Lock()
		}
		o.array = o.segment.Array(o.lock)
	}
}

// named is err with the object's name.
func named(err error, name string) error { return asStatus(err).On(name) }
