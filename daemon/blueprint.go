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
	maps     bool // the creator wants the descriptor at once
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
		return nil, status.New(status.Invalid, "", "kind is %.32q; it must be value, array, mutex, semaphore, queue, "+
			"event, condition, barrier, rwlock, stream or pipe", kindName).On(name)
	}
	raw, err := c.params.Value("options")
	if err != nil {
		return nil, err
	}
	options, err := wire.DecodeCreateOptions(raw)
	if err != nil {
		return nil, err
	}
	b := &blueprint{name: name, maps: orDefault(options.Map, false)}
	if err := b.read(kind, &options, c.session.server.seatsDefault.Load()); err != nil {
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
	{"lock", func(o *wire.CreateOptions) bool { return o.Lock != nil }, append(dataKinds, shm.KindCondition)},
	{"length", func(o *wire.CreateOptions) bool { return o.Length != nil }, kinds(shm.KindArray)},
	{"shape", func(o *wire.CreateOptions) bool { return o.Shape != nil }, kinds(shm.KindArray)},
	{"recursive", func(o *wire.CreateOptions) bool { return o.Recursive != nil }, kinds(shm.KindMutex)},
	{"unlock_any", func(o *wire.CreateOptions) bool { return o.UnlockAny != nil }, kinds(shm.KindMutex)},
	{"strict", func(o *wire.CreateOptions) bool { return o.Strict != nil }, kinds(shm.KindMutex)},
	{"initial", func(o *wire.CreateOptions) bool { return o.Initial != nil }, kinds(shm.KindSemaphore)},
	{"maximum", func(o *wire.CreateOptions) bool { return o.Maximum != nil }, kinds(shm.KindSemaphore)},
	{"undo", func(o *wire.CreateOptions) bool { return o.Undo != nil }, kinds(shm.KindSemaphore)},
	{"content", func(o *wire.CreateOptions) bool { return o.Content != nil }, kinds(shm.KindQueue)},
	{"maxsize", func(o *wire.CreateOptions) bool { return o.MaxSize != nil }, kinds(shm.KindQueue)},
	{"slot_size", func(o *wire.CreateOptions) bool { return o.SlotSize != nil }, kinds(shm.KindQueue)},
	{"message_max", func(o *wire.CreateOptions) bool { return o.MessageMax != nil },
		kinds(shm.KindQueue, shm.KindStream, shm.KindPipe)},
	{"deliveries_max", func(o *wire.CreateOptions) bool { return o.DeliveriesMax != nil }, kinds(shm.KindQueue)},
	{"lease_ns", func(o *wire.CreateOptions) bool { return o.LeaseNS != nil }, kinds(shm.KindQueue)},
	{"auto_reset", func(o *wire.CreateOptions) bool { return o.AutoReset != nil }, kinds(shm.KindEvent)},
	{"set", func(o *wire.CreateOptions) bool { return o.Set != nil }, kinds(shm.KindEvent)},
	{"parties", func(o *wire.CreateOptions) bool { return o.Parties != nil }, kinds(shm.KindBarrier)},
	{"capacity", func(o *wire.CreateOptions) bool { return o.Capacity != nil }, kinds(shm.KindStream, shm.KindPipe)},
	{"bytes", func(o *wire.CreateOptions) bool { return o.Bytes != nil }, kinds(shm.KindPipe)},
}

func kinds(all ...shm.Kind) []shm.Kind { return all }

var dataKinds = kinds(shm.KindValue, shm.KindArray)

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
			return status.New(status.Invalid, "", "%s is no option of %s", option.name, withArticle(kind.String()))
		}
	}
	g := shm.Geometry{Kind: kind, SeatsMax: orDefault(o.SeatsMax, seatsMax)}
	switch kind {
	case shm.KindMutex:
		g.Flags = flagIf(o.Recursive, shm.FlagRecursive) | flagIf(o.UnlockAny, shm.FlagUnlockAny) |
			flagIf(o.Strict, shm.FlagStrict)
	case shm.KindSemaphore:
		g.Initial, g.Maximum = orDefault(o.Initial, 1), orDefault(o.Maximum, shm.PermitsMax)
		g.Flags = flagIf(o.Undo, shm.FlagUndo)
	case shm.KindQueue:
		err = readQueue(&g, o)
	case shm.KindEvent:
		g.Flags = flagIf(o.AutoReset, shm.FlagAutoReset)
		if orDefault(o.Set, false) {
			g.Initial = 1
		}
	case shm.KindCondition:
		err = b.readMutex(o.Lock)
	case shm.KindBarrier:
		if o.Parties == nil {
			return status.New(status.Invalid, "", "the option parties is missing: how many must arrive?")
		}
		g.Length = uint64(*o.Parties)
	case shm.KindStream, shm.KindPipe:
		readRing(&g, o)
	case shm.KindValue, shm.KindArray:
		err = b.readData(&g, o)
	}
	if err != nil {
		return err
	}
	if b.geometry, err = g.Complete(); err != nil {
		return err
	}
	return b.readInit(o.Init)
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

// readQueue reads what makes a queue.
func readQueue(g *shm.Geometry, o *wire.CreateOptions) error {
	switch content := orDefault(o.Content, wire.ContentMsgpack); content {
	case wire.ContentMsgpack:
	case wire.ContentRaw:
		g.Flags = shm.FlagRaw
	default:
		return status.New(status.Invalid, "", "content is %.32q; it must be msgpack or raw", content)
	}
	g.Length = uint64(orDefault(o.MaxSize, maxsizeDefault))
	g.SlotSize = orDefault(o.SlotSize, slotSizeDefault)
	g.MessageMax, g.DeliveriesMax = orDefault(o.MessageMax, g.SlotSize), orDefault(o.DeliveriesMax, 0)
	g.LeaseNs = orDefault(o.LeaseNS, 0)
	return nil
}

// readRing reads what makes a stream or a pipe. A pipe of bytes has no messages, and
// whoever says how long they may be is told so.
func readRing(g *shm.Geometry, o *wire.CreateOptions) {
	g.Flags = flagIf(o.Bytes, shm.FlagBytes)
	g.Capacity = uint64(orDefault(o.Capacity, shm.RingCapacityDefault))
	switch {
	case o.MessageMax != nil:
		g.MessageMax = *o.MessageMax
	case g.Kind == shm.KindStream:
		g.MessageMax = shm.RingMessageMax(g.Capacity)
	case !g.Flags.Has(shm.FlagBytes):
		g.MessageMax = shm.MessageLimit
	}
}

// readData reads what makes a value or an array.
func (b *blueprint) readData(g *shm.Geometry, o *wire.CreateOptions) error {
	if err := b.readLock(o.Lock, &g.Flags); err != nil {
		return err
	}
	if o.Code == nil {
		return status.New(status.Invalid, "", "the option code is missing: which type do the elements have?")
	}
	var err error
	if g.Code, err = parseCode(*o.Code); err != nil {
		return err
	}
	g.Shape = o.Shape
	if o.Length != nil {
		if o.Shape != nil {
			return status.New(status.Invalid, "", "give length or shape, not both")
		}
		g.Shape = []uint64{*o.Length}
	}
	return nil
}

// readMutex reads the option lock of a condition.
func (b *blueprint) readMutex(option any) error {
	var flags shm.Flags
	if err := b.readLock(option, &flags); err != nil {
		return err
	}
	switch {
	case option == nil:
		return status.New(status.Invalid, "", `the option lock is missing: "@" and the name of the mutex `+
			"that the condition is bound to, or its id")
	case flags != shm.FlagLockForeign:
		return status.New(status.Invalid, "", `lock is %q; of a condition it must be "@" and the name of a mutex, `+
			"or its id", option)
	}
	return nil
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
		return status.New(status.KindMismatch, "", "it is %s, you ask for %s", o.describe(),
			withArticle(want.Kind.String()))
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
		want.MessageMax != have.MessageMax || want.DeliveriesMax != have.DeliveriesMax ||
		want.LeaseNs != have.LeaseNs):
		return status.New(status.OptionMismatch, "", "it is %s; you ask for %s", o.describe(), describeQueue(want))
	case (want.Kind == shm.KindStream || want.Kind == shm.KindPipe) &&
		(want.Capacity != have.Capacity || want.MessageMax != have.MessageMax):
		return status.New(status.OptionMismatch, "", "it is %s; you ask for %s", o.describe(), describeRing(want))
	case want.Kind == shm.KindBarrier && want.Length != have.Length:
		return status.New(status.OptionMismatch, "", "it is %s, you ask for %d", o.describe(), want.Length)
	case o.guard != nil && b.lock != (ref{name: o.guard.name}) && b.lock != (ref{id: o.guard.id}):
		return status.New(status.OptionMismatch, "",
			"its lock is the mutex %s, you ask for %s", o.guard.label(), b.lock.label())
	}
	return nil
}
