package shmd

import (
	"context"
	"errors"
	"runtime"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// DataOptions are the creation options that values and arrays share.
type DataOptions struct {
	CommonOptions
	// Code chooses a type code other than T's default, such as ctypes.CodeLong
	// for int64; 0 = the default.
	Code ctypes.Code
	// NoLock makes an object of atomic elements only: no lock, no brackets.
	NoLock bool
	// Mutex makes another object guard this one; it must outlive its use.
	Mutex *Mutex
}

func dataOptions[T ctypes.Element](o *DataOptions) (wire.CreateOptions, error) {
	code := o.Code
	if code == 0 {
		code = ctypes.CodeOf[T]()
	}
	if !ctypes.Compatible[T](code) {
		return wire.CreateOptions{}, status.New(status.BadType, "",
			"type code '%c' does not hold this Go type", byte(code))
	}
	w := wire.CreateOptions{Code: new(string(rune(code)))}
	switch {
	case o.NoLock && o.Mutex != nil:
		return w, status.New(status.Invalid, "", "an object has a mutex or no lock, not both")
	case o.NoLock:
		w.Lock = wire.LockNone
	case o.Mutex != nil:
		w.Lock = o.Mutex.ID()
	}
	o.fill(&w)
	return w, nil
}

// data is what values and arrays have in common.
type data[T ctypes.Element] struct {
	*object
	Owner
	elements *shm.Array
}

func newData[T ctypes.Element](o *object, op string) (*data[T], error) {
	if code := o.segment.Geometry().Code; !ctypes.Compatible[T](code) {
		err := status.New(status.TypeMismatch, op, "it has type code '%c' (%s), which this Go type does not hold",
			byte(code), code.CName()).On(o.info.Name)
		return nil, errors.Join(err, o.Close())
	}
	return &data[T]{o, o.common(), o.array()}, nil
}

// Code is the object's type code.
func (d *data[T]) Code() ctypes.Code { return d.segment.Geometry().Code }

// Version counts the changes so far. Read it before the data it stands for.
func (d *data[T]) Version() uint64 {
	defer runtime.KeepAlive(d.object) // the mapping goes with it
	return d.elements.Version()
}

// WaitChange waits until the version differs from the given one, and returns it.
// Every element store, write bracket and death counts as a change; raw stores
// through a view do not. A read-only handle waits at the daemon.
func (d *data[T]) WaitChange(ctx context.Context, version uint64) (uint64, error) {
	v, err := d.waitChange(ctx, version)
	return v, wrap("wait for change of", d.info.Name, err)
}

func (d *data[T]) waitChange(ctx context.Context, version uint64) (now uint64, err error) {
	if _, err := d.index(0); err != nil {
		return 0, err
	}
	if d.segment.ReadOnly() {
		err := d.client.Call(ctx, wire.MethodWaitChange, &now, d.info.Handle, version)
		return now, err
	}
	err = d.slowly(ctx, func(ctx context.Context) (err error) {
		now, err = d.elements.WaitChange(ctx, parker, shm.Owner{Word: d.info.Owner}, version, -1)
		return err
	})
	return now, err
}

// BeginWrite opens a bracket around raw stores through a view: snapshots wait
// until EndWrite. The owner must hold the lock. Brackets nest.
func (d *data[T]) BeginWrite() error {
	err := d.lockable()
	if err == nil {
		err = d.elements.BeginWrite(d.access(d.Owner.owner))
	}
	return wrap("begin write of", d.info.Name, err)
}

// EndWrite closes a bracket.
func (d *data[T]) EndWrite() error {
	err := d.lockable()
	if err == nil {
		err = d.elements.EndWrite(d.access(d.Owner.owner))
	}
	return wrap("end write of", d.info.Name, err)
}

// index checks that the handle is open and i no negative number; the rest is the
// segment's business.
func (d *data[T]) index(i int) (uint64, error) {
	if d.closed.Load() || i < 0 {
		return 0, d.refuse(i)
	}
	return uint64(i), nil
}

func (d *data[T]) refuse(i int) error {
	if d.closed.Load() {
		return status.Closed
	}
	return status.New(status.BadIndex, "", "index %d; the first element is 0", i)
}

func (d *data[T]) load(i int) (T, error) {
	if !d.closed.Load() {
		if bits, ok := d.elements.LoadWord(uint64(i)); ok {
			runtime.KeepAlive(d.object) // the mapping goes with it
			return fromBits[T](bits), nil
		}
	}
	return d.loadSlow(i)
}

func (d *data[T]) loadSlow(i int) (T, error) {
	at, err := d.index(i)
	var bits uint64
	if err == nil {
		bits, err = d.elements.Load(at)
	}
	return fromBits[T](bits), wrap("load", d.info.Name, err)
}

func (d *data[T]) store(i int, v T) error {
	if !d.closed.Load() && d.elements.StoreWord(uint64(i), toBits(v)) {
		runtime.KeepAlive(d.object)
		return nil
	}
	return d.storeSlow(i, v)
}

func (d *data[T]) storeSlow(i int, v T) error {
	at, err := d.index(i)
	if err == nil {
		err = d.elements.Store(at, toBits(v))
	}
	return wrap("store", d.info.Name, err)
}

func (d *data[T]) add(i int, delta T) (T, error) {
	at, err := d.index(i)
	var old uint64
	if err == nil {
		old, err = d.elements.FetchAdd(at, toBits(delta))
	}
	if err != nil {
		return fromBits[T](old), wrap("add to", d.info.Name, err)
	}
	runtime.KeepAlive(d.object)
	return fromBits[T](old), nil
}

func (d *data[T]) exchange(i int, v T) (T, error) {
	at, err := d.index(i)
	var old uint64
	if err == nil {
		old, err = d.elements.Exchange(at, toBits(v))
	}
	return fromBits[T](old), wrap("exchange", d.info.Name, err)
}

func (d *data[T]) compareExchange(i int, expected, desired T) (bool, T, error) {
	at, err := d.index(i)
	var old uint64
	var swapped bool
	if err == nil {
		swapped, old, err = d.elements.CompareExchange(at, toBits(expected), toBits(desired))
	}
	return swapped, fromBits[T](old), wrap("compare-exchange", d.info.Name, err)
}
