package daemon

import (
	"errors"
	"slices"
	"strings"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// blueprint is what a client asks to be created, checked.
type blueprint struct {
	name     string
	geometry shm.Geometry // without id and time
	lock     ref          // the foreign mutex; the zero ref if none
	init     []byte       // the first elements, as they lie in memory
	mode     uint32
	lifetime string
}

// modeDefault lets the creator's user read and write.
const modeDefault = 0o600

// blueprint reads the parameters of create and open_or_create.
func (c *call) blueprint() (*blueprint, error) {
	if err := c.params.Arity(3, 3); err != nil {
		return nil, err
	}
	name, err := c.params.Str("name")
	if err != nil {
		return nil, err
	}
	if name != "" {
		if err := wire.ValidateName(name); err != nil {
			return nil, err
		}
	}
	kindName, err := c.params.Str("kind")
	if err != nil {
		return nil, err
	}
	kind, ok := shm.ParseKind(kindName)
	if !ok {
		return nil, status.New(status.Invalid, "", "kind is %.32q; it must be value, array, mutex, semaphore or queue",
			kindName).On(name)
	}
	raw, err := c.params.Value("options")
	if err != nil {
		return nil, err
	}
	options, err := wire.DecodeCreateOptions(raw)
	if err != nil {
		return nil, err
	}
	b := &blueprint{name: name}
	if err := b.read(kind, &options, c.session.server.config.SeatsDefault); err != nil {
		e := asStatus(err)
		return nil, e.On(name)
	}
	return b, nil
}

// optionKinds says which options belong to some kinds only.
var optionKinds = []struct {
	name  string
	given func(o *wire.CreateOptions) bool
	kinds []shm.Kind
}{
	{"code", func(o *wire.CreateOptions) bool { return o.Code != nil }, dataKinds},
	{"init", func(o *wire.CreateOptions) bool { return o.Init != nil }, dataKinds},
	{"lock", func(o *wire.CreateOptions) bool { return o.Lock != nil }, dataKinds},
	{"length", func(o *wire.CreateOptions) bool { return o.Length != nil }, []shm.Kind{shm.KindArray}},
	{"shape", func(o *wire.CreateOptions) bool { return o.Shape != nil }, []shm.Kind{shm.KindArray}},
	{"recursive", func(o *wire.CreateOptions) bool { return o.Recursive != nil }, []shm.Kind{shm.KindMutex}},
	{"unlock_any", func(o *wire.CreateOptions) bool { return o.UnlockAny != nil }, []shm.Kind{shm.KindMutex}},
	{"strict", func(o *wire.CreateOptions) bool { return o.Strict != nil }, []shm.Kind{shm.KindMutex}},
	{"initial", func(o *wire.CreateOptions) bool { return o.Initial != nil }, []shm.Kind{shm.KindSemaphore}},
	{"maximum", func(o *wire.CreateOptions) bool { return o.Maximum != nil }, []shm.Kind{shm.KindSemaphore}},
	{"undo", func(o *wire.CreateOptions) bool { return o.Undo != nil }, []shm.Kind{shm.KindSemaphore}},
	{"content", func(o *wire.CreateOptions) bool { return o.Content != nil }, []shm.Kind{shm.KindQueue}},
	{"maxsize", func(o *wire.CreateOptions) bool { return o.MaxSize != nil }, []shm.Kind{shm.KindQueue}},
	{"slot_size", func(o *wire.CreateOptions) bool { return o.SlotSize != nil }, []shm.Kind{shm.KindQueue}},
	{"message_max", func(o *wire.CreateOptions) bool { return o.MessageMax != nil }, []shm.Kind{shm.KindQueue}},
	{"deliveries_max", func(o *wire.CreateOptions) bool { return o.DeliveriesMax != nil }, []shm.Kind{shm.KindQueue}},
}

var dataKinds = []shm.Kind{shm.KindValue, shm.KindArray}

// Defaults of a queue.
const (
	maxsizeDefault  = 1024
	slotSizeDefault = 256
)

func (b *blueprint) read(kind shm.Kind, o *wire.CreateOptions, seatsMax uint32) (err error) {
	b.mode = orDefault(o.Mode, modeDefault)
	if err := checkMode(b.mode); err != nil {
		return err
	}
	if b.lifetime, err = parseLifetime(o.Lifetime, b.name); err != nil {
		return err
	}
	for _, option := range optionKinds {
		if option.given(o) && !slices.Contains(option.kinds, kind) {
			return status.New(status.Invalid, "", "%s is no option of a %s", option.name, kind)
		}
	}
	seatsMax = orDefault(o.SeatsMax, seatsMax)
	switch kind {
	case shm.KindMutex:
		flags := flagIf(o.Recursive, shm.FlagRecursive) | flagIf(o.UnlockAny, shm.FlagUnlockAny) |
			flagIf(o.Strict, shm.FlagStrict)
		b.geometry, err = shm.NewGeometry(kind, 0, nil, flags, seatsMax)
	case shm.KindSemaphore:
		b.geometry, err = shm.NewSemaphoreGeometry(orDefault(o.Initial, 1), orDefault(o.Maximum, shm.PermitsMax),
			flagIf(o.Undo, shm.FlagUndo), seatsMax)
	case shm.KindQueue:
		b.geometry, err = queueGeometry(o, seatsMax)
	default:
		err = b.readData(kind, o, seatsMax)
	}
	return err
}

func orDefault[T any](option *T, fallback T) T {
	if option == nil {
		return fallback
	}
	return *option
}

func flagIf(option *bool, flag shm.Flags) shm.Flags {
	if option != nil && *option {
		return flag
	}
	return 0
}

func queueGeometry(o *wire.CreateOptions, seatsMax uint32) (shm.Geometry, error) {
	var flags shm.Flags
	switch content := orDefault(o.Content, wire.ContentMsgpack); content {
	case wire.ContentMsgpack:
	case wire.ContentRaw:
		flags = shm.FlagRaw
	default:
		return shm.Geometry{}, status.New(status.Invalid, "", "content is %.32q; it must be msgpack or raw", content)
	}
	slotSize := orDefault(o.SlotSize, slotSizeDefault)
	return shm.NewQueueGeometry(uint64(orDefault(o.MaxSize, maxsizeDefault)), slotSize,
		orDefault(o.MessageMax, slotSize), orDefault(o.DeliveriesMax, 0), flags, seatsMax)
}

// readData reads what makes a value or an array.
func (b *blueprint) readData(kind shm.Kind, o *wire.CreateOptions, seatsMax uint32) error {
	var flags shm.Flags
	if err := b.readLock(o.Lock, &flags); err != nil {
		return err
	}
	if o.Code == nil {
		return status.New(status.Invalid, "", "the option code is missing: which type do the elements have?")
	}
	code, err := parseCode(*o.Code)
	if err != nil {
		return err
	}
	shape := o.Shape
	if o.Length != nil {
		if shape != nil {
			return status.New(status.Invalid, "", "give length or shape, not both")
		}
		shape = []uint64{*o.Length}
	}
	if b.geometry, err = shm.NewGeometry(kind, code, shape, flags, seatsMax); err != nil {
		return err
	}
	return b.readInit(o.Init)
}

// readLock reads the option lock.
func (b *blueprint) readLock(option any, flags *shm.Flags) error {
	switch lock := option.(type) {
	case nil:
	case uint64:
		*flags |= shm.FlagLockForeign
		b.lock.id = lock
	case string:
		name, foreign := strings.CutPrefix(lock, "@")
		switch {
		case foreign:
			*flags |= shm.FlagLockForeign
			b.lock.name = name
			return wire.ValidateName(name)
		case lock == wire.LockNone:
			*flags |= shm.FlagLockNone
		case lock != wire.LockOwn:
			return status.New(status.Invalid, "",
				`lock is %.32q; it must be "own", "none", "@" and the name of a mutex, or its id`,
				lock)
		}
	}
	return nil
}

// readInit reads the option init: a value's, or a list of an array's first.
func (b *blueprint) readInit(raw []byte) error {
	if raw == nil {
		return nil
	}
	g := &b.geometry
	d := wire.ToDecoder(raw)
	defer wire.ReleaseDecoder(d)
	if g.Kind == shm.KindValue {
		bits, err := ctypes.DecodeMsgpack(d, g.Code)
		if err != nil {
			return err
		}
		b.init = make([]byte, g.ItemSize)
		ctypes.StoreBits(g.Code, b.init, bits)
		return nil
	}
	var err error
	b.init, err = ctypes.DecodeMsgpackSlice(d, g.Code, int(min(g.Length, wire.MessageMax)))
	var tooMany *ctypes.CountError
	if errors.As(err, &tooMany) {
		return status.New(status.Invalid, "", "init: %v", tooMany)
	}
	return err
}

func checkMode(mode uint32) error {
	if mode&^modeMask != 0 {
		return status.New(status.Invalid, "",
			"mode is %#o; it may have the bits %#o (read and write for user, group, others)",
			mode, modeMask)
	}
	return nil
}

func parseCode(text string) (ctypes.Code, error) {
	if len(text) > 32 {
		text = text[:32]
	}
	return ctypes.Parse(text)
}

// agrees checks that an object is what open_or_create would have created.
func (b *blueprint) agrees(o *object) error {
	want, have := &b.geometry, &o.geometry
	switch {
	case want.Kind != have.Kind:
		return status.New(status.KindMismatch, "", "it is %s, you ask for a %s", o.describe(), want.Kind)
	case want.Code != have.Code:
		return status.New(status.TypeMismatch, "", "it is %s, you ask for '%s'", o.describe(), want.Code)
	case !slices.Equal(want.Shape, have.Shape):
		return status.New(status.ShapeMismatch, "", "it is %s, you ask for shape %v", o.describe(), want.Shape)
	case want.Flags != have.Flags:
		return status.New(status.OptionMismatch, "", "it has the flags [%s] and the lock %q, you ask for [%s]",
			have.Flags, o.lockText(), want.Flags)
	case want.Maximum != have.Maximum:
		return status.New(status.OptionMismatch, "", "its maximum is %d, you ask for %d", have.Maximum, want.Maximum)
	case want.Kind == shm.KindQueue && (want.Length != have.Length || want.SlotSize != have.SlotSize ||
		want.MessageMax != have.MessageMax || want.DeliveriesMax != have.DeliveriesMax):
		return status.New(status.OptionMismatch, "", "it is %s; you ask for %s", o.describe(), describeQueue(want))
	case o.guard != nil && b.lock != (ref{name: o.guard.name}) && b.lock != (ref{id: o.guard.id}):
		return status.New(status.OptionMismatch, "",
			"its lock is the mutex %s, you ask for %s", o.guard.label(), b.lock.label())
	}
	return nil
}

// build creates an object; the caller unpins it. Everything is charged first.
func (s *Server) build(c *client, b *blueprint) (*object, error) {
	o := &object{
		name: b.name, geometry: b.geometry, uid: c.peer.uid, gid: c.peer.gid, mode: b.mode, lifetime: b.lifetime,
	}
	if err := s.registry.vacant(b.name); err != nil {
		return nil, err
	}
	if b.lifetime == lifetimeOwned {
		o.creator = c
	}
	if b.lock != (ref{}) {
		guard, err := s.guardFor(c, b.lock)
		if err != nil {
			return nil, err
		}
		defer s.registry.unpin(guard)
		o.guard, o.geometry.LockID = guard, guard.id
	}
	size := b.geometry.SegmentSize
	if err := s.registry.charge(o.uid, size); err != nil {
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
	s.log.Debug("object created", "object", o.label(), "id", o.id, "kind", o.geometry.Kind, "bytes", size, "uid", o.uid)
	return o, nil
}

// guardFor finds the mutex that shall guard an object; the caller unpins it.
func (s *Server) guardFor(c *client, which ref) (*object, error) {
	guard, err := s.registry.pin(which)
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
	case guard.geometry.Flags.Has(shm.FlagUnlockAny):
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
	options := shm.SegmentOptions{Epoch: s.epoch, WithoutNoexecSeal: s.config.Without.NoexecSeal}
	o.segment, o.file, err = shm.CreateSegment(o.geometry, options)
	if err != nil {
		return err
	}
	copy(o.segment.Data(), init)
	switch o.geometry.Kind {
	case shm.KindSemaphore:
		o.semaphore = o.segment.Semaphore()
	case shm.KindQueue:
		o.queue = o.segment.Queue()
		if o.geometry.MessageMax > o.geometry.SlotSize {
			o.sides = newSideTable(o, s.registry, options)
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
	o.segment.Publish()
	return nil
}

// named is err with the object's name.
func named(err error, name string) error { return asStatus(err).On(name) }
