package shmd

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// CommonOptions are the creation options that every kind has.
type CommonOptions struct {
	// SeatsMax is how many clients may have the object open at once; 0 = 64.
	SeatsMax uint32
	// Mode is who may read and write it, as of a file; 0 = 0600.
	Mode uint32
	// Lifetime is "persistent" (named objects), "refcounted" (anonymous ones)
	// or "owned"; "" = the default.
	Lifetime string
}

func (o *CommonOptions) fill(w *wire.CreateOptions) {
	if o.SeatsMax != 0 {
		w.SeatsMax = &o.SeatsMax
	}
	if o.Mode != 0 {
		w.Mode = &o.Mode
	}
	if o.Lifetime != "" {
		w.Lifetime = &o.Lifetime
	}
}

// Info describes an object.
type Info = wire.Info

// object is an attached, mapped object: what every typed handle stands on.
type object struct {
	client  *Client
	info    wire.Attachment // immutable
	segment *shm.Segment    // immutable
	guard   *shm.Lock       // immutable; the lock, nil = none
	holder  uint32          // immutable; our owner word in the guard
	refusal error           // immutable; why it cannot be locked, nil = it can
	ctx     context.Context // ended by Close
	end     context.CancelFunc
	closed  atomic.Bool
	careful atomic.Bool  // closed, or with a foreign lock: whoever has locked must look again
	pinned  *atomic.Bool // immutable; true = a view was handed out: never unmap
	once    sync.Once
	waitsMu sync.Mutex     // orders Close and the beginning of waits
	slow    *waitContext   // protected by waitsMu; the first of those that wait; none begins once closed
	waits   sync.WaitGroup // waits for several objects; likewise
	foreign *shm.Segment   // immutable; the foreign mutex's segment, nil = none
}

// attach turns the answer of create or open into a mapped object.
func (c *Client) attach(ctx context.Context, op, name, method string, params ...any) (*object, error) {
	if method == wire.MethodOpen {
		var err error
		if params, err = reference(params); err != nil {
			return nil, wrap(op, "", err)
		}
		if _, byName := params[0].(string); !byName {
			name = "" // it may be a secret, and the daemon says which object
		}
	}
	o := &object{client: c, pinned: new(atomic.Bool)}
	f, err := c.callForFile(ctx, method, maybeFile, &o.info, mapping(params)...)
	if err != nil {
		return nil, named(op, name, err)
	}
	if f != nil {
		defer f.Close()
	}
	if err := o.mapAll(ctx, f); err != nil {
		unmap(o.mappings())
		_ = c.closeHandle(o.info.Handle) // the mapping's error says more
		return nil, named(op, name, err)
	}
	o.refusal = o.refusalOf()
	o.careful.Store(o.foreign != nil)
	o.ctx, o.end = context.WithCancel(context.Background())
	// The mapping goes when nobody can use it any more, not when somebody
	// closes: another goroutine may be inside an operation.
	runtime.AddCleanup(o, unmap, o.mappings())
	return o, nil
}

// mapping asks for the descriptor along with the answer to create or open.
func mapping(params []any) []any {
	last := &params[len(params)-1]
	switch o := (*last).(type) {
	case wire.OpenOptions:
		o.Map = new(true)
		*last = o
	case wire.CreateOptions:
		o.Map = new(true)
		*last = o
	}
	return params
}

// named gives an error of the daemon or of this package its place.
func named(op, name string, err error) error {
	if e, ok := err.(*status.Error); ok && e.Object == "" {
		c := *e
		c.Op, c.Object = op, name
		return &c
	}
	return wrap(op, name, err)
}

// mappings are what an object has mapped; they do not keep it alive.
type mappings struct {
	segment, foreign *shm.Segment
	pinned           *atomic.Bool
}

func (o *object) mappings() mappings { return mappings{o.segment, o.foreign, o.pinned} }

func unmap(m mappings) {
	if m.pinned.Load() {
		return
	}
	for _, s := range []*shm.Segment{m.segment, m.foreign} {
		if s != nil {
			_ = s.Unmap() // the process keeps an unreachable mapping; nobody to tell
		}
	}
}

// mapAll maps the object by the descriptor, nil = it did not come, and its foreign lock.
func (o *object) mapAll(ctx context.Context, f *os.File) (err error) {
	a := &o.info
	g, err := geometryOf(&a.Info)
	if err != nil {
		return err
	}
	if g.DataOffset != a.DataOffset || g.DataSize != a.DataSize || g.SeatsOffset != a.SeatsOffset {
		return status.New(status.Version, "", "client and daemon lay objects out differently; use equal builds")
	}
	if o.segment, err = o.client.mapHandle(ctx, a.Handle, f, g, a.Access == wire.AccessRead); err != nil {
		return err
	}
	switch {
	case g.Kind == shm.KindMutex, a.Lock == wire.LockOwn:
		o.guard, o.holder = o.segment.Lock(), a.Owner
	case a.LockHandle != nil && a.LockOwner != nil:
		var mutex wire.Info
		if err := o.client.Call(ctx, wire.MethodStat, &mutex, a.LockID); err != nil {
			return err
		}
		mg, err := geometryOf(&mutex)
		if err != nil {
			return err
		}
		if o.foreign, err = o.client.mapHandle(ctx, *a.LockHandle, nil, mg, a.Access == wire.AccessRead); err != nil {
			return err
		}
		o.guard, o.holder = o.foreign.Lock(), *a.LockOwner
	}
	return nil
}

// geometryOf computes an object's geometry from the daemon's description.
func geometryOf(i *wire.Info) (shm.Geometry, error) {
	kind, ok := shm.ParseKind(i.Kind)
	if !ok {
		return shm.Geometry{}, status.New(status.Version, "", "the daemon has a kind %q that this client does not know",
			i.Kind)
	}
	var code ctypes.Code
	if i.Code != "" {
		var err error
		if code, err = ctypes.Parse(i.Code); err != nil {
			return shm.Geometry{}, status.Wrap(status.Version, "", err, "the daemon's type code")
		}
	}
	var flags shm.Flags
	for _, f := range i.Flags {
		switch f {
		case wire.FlagRecursive:
			flags |= shm.FlagRecursive
		case wire.FlagUnlockAny:
			flags |= shm.FlagUnlockAny
		case wire.FlagStrict:
			flags |= shm.FlagStrict
		case wire.FlagUndo:
			flags |= shm.FlagUndo
		case wire.FlagAutoReset:
			flags |= shm.FlagAutoReset
		case wire.FlagBytes:
			flags |= shm.FlagBytes
		}
	}
	switch i.Lock {
	case wire.LockNone:
		flags |= shm.FlagLockNone
	case wire.LockForeign:
		flags |= shm.FlagLockForeign
	}
	if i.Content == wire.ContentRaw {
		flags |= shm.FlagRaw
	}
	parameters := shm.Geometry{Kind: kind, Code: code, Shape: i.Shape, Length: i.Length, Flags: flags,
		SeatsMax: i.SeatsMax, Initial: i.Initial, Maximum: i.Maximum, SlotSize: i.SlotSize,
		MessageMax: i.MessageMax, DeliveriesMax: i.DeliveriesMax, LeaseNs: i.LeaseNS, Capacity: uint64(i.Capacity)}
	g, err := parameters.Complete()
	g.ID, g.LockID, g.CreatedNs = i.ID, i.LockID, uint64(i.CreatedNS)
	if err == nil && g.SegmentSize != i.SegmentSize {
		err = status.New(status.Version, "", "the daemon's segment has %d bytes, this client's %d; use equal builds",
			i.SegmentSize, g.SegmentSize)
	}
	return g, err
}

// mapHandle maps the segment of a handle by its descriptor; nil = it asks for that.
func (c *Client) mapHandle(ctx context.Context, handle uint64, f *os.File, g shm.Geometry, readOnly bool) (
	*shm.Segment, error) {
	h := c.hello.Load()
	if err := shm.CheckLayout(h.ABIVersion, h.ABICompat, h.ABIFingerprint); err != nil {
		return nil, err
	}
	if f == nil {
		var err error
		if f, err = c.callForFile(ctx, wire.MethodMap, oneFile, nil, handle); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	return shm.MapSegment(f, g, readOnly)
}

// Name is the object's name, "" for an anonymous one.
func (o *object) Name() string { return o.info.Name }

// ID is the object's number. The Open functions take "id:" and that in place of a name, for
// anonymous objects above all.
func (o *object) ID() uint64 { return o.info.ID }

// Created reports whether this call made the object, or found it.
func (o *object) Created() bool { return o.info.Created }

// Info describes the object.
func (o *object) Info() Info { return o.info.Info }

// Close gives the handle back. Waits under way end with ErrClosed; a lock that
// is still held goes to its next owner with a notice. Closing twice is fine.
// While the daemon is away, what is held is given back to the next one; when it is gone for
// good there is nothing to give back. Neither is an error.
func (o *object) Close() error {
	var err error
	o.once.Do(func() {
		o.waitsMu.Lock()
		o.closed.Store(true)
		o.careful.Store(true)
		o.waitsMu.Unlock()
		o.end()
		// Before the daemon gives the seat back: what a wait still got goes with it.
		o.rouse(o.ctx)
		o.waits.Wait()
		err = o.client.closeHandle(o.info.Handle)
		switch status.Of(err) {
		case status.Lost, status.Closed, status.Removed:
			err = nil
		}
	})
	return named("close", o.info.Name, err)
}

// usable is ErrClosed after Close.
func (o *object) usable() error {
	if o.closed.Load() {
		return status.Closed
	}
	return nil
}

// actor is this client, as a semaphore or a queue knows it.
func (o *object) actor() shm.Actor { return shm.ClientActor(o.info.Owner) }

// owner is a new thread of control of this client in the guard.
func (o *object) owner() shm.Owner { return shm.MakeOwner(o.holder, o.client.serial.Add(1)) }

// common is the owner of the handle itself, behind which any goroutine may stand.
// It is one for all handles on a lock that this client has, so that the arrays of
// one mutex are written while that is held, through whichever handle.
func (o *object) common() Owner {
	owner := shm.MakeOwner(o.holder, 0) // NewOwner's begin at 1
	owner.Shared = true
	return Owner{object: o, owner: owner}
}
