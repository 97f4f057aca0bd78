package shmd

import (
	"context"
	"errors"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Array is a typed array in shared memory. Safe for concurrent use.
//
// There are three ways to its elements. View is a plain slice: as fast as memory,
// and as unprotected. Load, Store, Add and the like are atomic on one element.
// Read and Write copy ranges consistently under the array's lock.
type Array[T ctypes.Element] struct{ *data[T] }

// ArrayOptions are an array's creation options.
type ArrayOptions struct {
	DataOptions
	// Length or Shape: elements, or dimensions in row-major order.
	Length uint64
	Shape  []uint64
}

// CreateArray makes an array of zeros; "" makes an anonymous one.
func CreateArray[T ctypes.Element](ctx context.Context, c *Client, name string, o ArrayOptions) (*Array[T], error) {
	return createArray[T](ctx, c, "create array", name, wire.MethodCreate, o)
}

// OpenOrCreateArray opens an array, or makes it. ErrTypeMismatch,
// ErrShapeMismatch if it exists as another.
func OpenOrCreateArray[T ctypes.Element](ctx context.Context, c *Client, name string,
	o ArrayOptions) (*Array[T], error) {
	return createArray[T](ctx, c, "open array", name, wire.MethodOpenOrCreate, o)
}

func createArray[T ctypes.Element](ctx context.Context, c *Client, op, name, method string,
	o ArrayOptions) (*Array[T], error) {
	w, err := dataOptions[T](&o.DataOptions)
	if err != nil {
		return nil, wrap(op, name, err)
	}
	if w.Shape = o.Shape; o.Length != 0 {
		w.Length = &o.Length
	}
	return attachArray[T](ctx, c, op, name, method, name, wire.KindArray, w)
}

// OpenArray opens an array by name. ErrTypeMismatch if T does not hold its type.
func OpenArray[T ctypes.Element](ctx context.Context, c *Client, name string) (*Array[T], error) {
	return attachArray[T](ctx, c, "open array", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindArray)})
}

// OpenArrayReadOnly is OpenArray with a mapping that the kernel protects from
// stores, for which read permission is enough. Do not write through its View:
// that is a fault.
func OpenArrayReadOnly[T ctypes.Element](ctx context.Context, c *Client, name string) (*Array[T], error) {
	return attachArray[T](ctx, c, "open array", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindArray), Access: new(wire.AccessRead)})
}

func attachArray[T ctypes.Element](ctx context.Context, c *Client, op, name, method string,
	params ...any) (*Array[T], error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	d, err := newData[T](o, op)
	if err != nil {
		return nil, err
	}
	return &Array[T]{d}, nil
}

// Len is the number of elements.
func (a *Array[T]) Len() int { return int(a.segment.Geometry().Length) }

// Shape is the dimensions, row-major. Do not modify it.
func (a *Array[T]) Shape() []uint64 { return a.segment.Geometry().Shape }

// Index is the position of the element at the given coordinates, one for each
// dimension. ErrBadIndex if one is outside.
func (a *Array[T]) Index(at ...int) (int, error) {
	shape := a.Shape()
	if len(at) != len(shape) {
		return 0, status.New(status.BadIndex, "index", "%d coordinates for %d dimensions",
			len(at), len(shape)).On(a.info.Name)
	}
	i := 0
	for d, x := range at {
		if x < 0 || uint64(x) >= shape[d] {
			return 0, status.New(status.BadIndex, "index",
				"coordinate %d is %d; the shape is %v", d, x, shape).On(a.info.Name)
		}
		i = i*int(shape[d]) + x
	}
	return i, nil
}

// View is the elements themselves, without a copy. Stores through it are neither
// atomic nor counted as changes; bracket them by BeginWrite and EndWrite to keep
// snapshots consistent. It stays valid after Close.
func (a *Array[T]) View() []T {
	a.pinned.Store(true)
	return asElements[T](a.segment.Data())
}

// Load reads element i atomically.
func (a *Array[T]) Load(i int) (T, error) { return a.load(i) }

// Store writes element i atomically and counts as a change.
func (a *Array[T]) Store(i int, x T) error { return a.store(i, x) }

// Add adds delta to element i atomically and returns the value *before*; 4- and
// 8-byte types. Integers wrap.
func (a *Array[T]) Add(i int, delta T) (old T, err error) { return a.add(i, delta) }

// Exchange stores x and returns the value before; 4- and 8-byte types.
func (a *Array[T]) Exchange(i int, x T) (old T, err error) { return a.exchange(i, x) }

// CompareExchange stores desired if element i's bits equal expected's, and
// returns the value before; 4- and 8-byte types.
func (a *Array[T]) CompareExchange(i int, expected, desired T) (swapped bool, old T, err error) {
	return a.compareExchange(i, expected, desired)
}

// Read copies the elements from start into dst, as one consistent cut of
// bracketed writes, and returns the version they stand for. dirty = a writer
// died and nobody has marked the data consistent since.
func (a *Array[T]) Read(ctx context.Context, start int, dst []T) (version uint64, dirty bool, err error) {
	version, dirty, err = a.read(ctx, start, dst)
	return version, dirty, wrap("read", a.info.Name, err)
}

func (a *Array[T]) read(ctx context.Context, start int, dst []T) (version uint64, dirty bool, err error) {
	from, err := a.index(start)
	if err != nil {
		return 0, false, err
	}
	access := a.access(a.Owner.owner)
	snapshot := func(ctx context.Context, timeout time.Duration) error {
		version, dirty, err = a.elements.Snapshot(ctx, parker, access, from, uint64(len(dst)), asBytes(dst),
			timeout)
		return err
	}
	switch err = snapshot(ctx, 0); {
	case !errors.Is(err, status.WouldBlock):
		return version, dirty, err
	case a.segment.ReadOnly():
		// Such a mapping cannot announce that it waits: the daemon can.
		return a.readRemotely(ctx, from, dst)
	}
	err = a.slowly(ctx, func(ctx context.Context) error { return snapshot(ctx, -1) })
	return version, dirty, err
}

func (a *Array[T]) readRemotely(ctx context.Context, from uint64, dst []T) (version uint64, dirty bool, err error) {
	var result wire.ReadResult
	if err := a.client.Call(ctx, wire.MethodRead, &result, a.info.Handle, from, len(dst)); err != nil {
		return 0, false, err
	}
	d := wire.ToDecoder(result.Values)
	defer wire.ReleaseDecoder(d)
	values, err := ctypes.DecodeMsgpackSlice(d, a.Code(), len(dst))
	copy(asBytes(dst), values)
	return result.Version, result.Dirty, err
}

// Write replaces the elements from start by src in one bracket, taking the lock
// for it unless this handle's owner holds it.
func (a *Array[T]) Write(ctx context.Context, start int, src []T) (*Notice, error) {
	n, err := a.write(ctx, start, src)
	return n, wrap("write", a.info.Name, err)
}

func (a *Array[T]) write(ctx context.Context, start int, src []T) (n *Notice, err error) {
	from, err := a.index(start)
	if err != nil {
		return nil, err
	}
	access := a.access(a.Owner.owner)
	err = a.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) (err error) {
		n, err = a.elements.Write(ctx, parker, access, from, asBytes(src), timeout)
		return err
	})
	return n, err
}
