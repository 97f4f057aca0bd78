package shmd

import (
	"context"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/wire"
)

// Value is one typed value in shared memory, always read and written atomically.
// Safe for concurrent use. Its own recursive lock guards longer sections; loads
// and stores do not look at it.
type Value[T ctypes.Element] struct{ *data[T] }

// ValueOptions are a value's creation options.
type ValueOptions struct{ DataOptions }

// CreateValue makes a value holding initial; "" makes an anonymous one.
func CreateValue[T ctypes.Element](ctx context.Context, c *Client, name string, initial T,
	o ValueOptions) (*Value[T], error) {
	return createValue(ctx, c, "create value", name, wire.MethodCreate, initial, o)
}

// OpenOrCreateValue opens a value, or makes it holding initial.
func OpenOrCreateValue[T ctypes.Element](ctx context.Context, c *Client, name string, initial T,
	o ValueOptions) (*Value[T], error) {
	return createValue(ctx, c, "open value", name, wire.MethodOpenOrCreate, initial, o)
}

func createValue[T ctypes.Element](ctx context.Context, c *Client, op, name, method string, initial T,
	o ValueOptions) (*Value[T], error) {
	w, err := dataOptions[T](&o.DataOptions)
	if err == nil {
		code, _ := ctypes.Parse(*w.Code) // dataOptions wrote it
		w.Init, err = ctypes.AppendMsgpack(nil, code, toBits(initial))
	}
	if err != nil {
		return nil, wrap(op, name, err)
	}
	return attachValue[T](ctx, c, op, name, method, name, wire.KindValue, w)
}

// OpenValue opens a value by name. ErrTypeMismatch if T does not hold its type.
func OpenValue[T ctypes.Element](ctx context.Context, c *Client, name string) (*Value[T], error) {
	return attachValue[T](ctx, c, "open value", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindValue)})
}

// OpenValueReadOnly is OpenValue with a mapping that the kernel protects from
// stores, for which read permission is enough.
func OpenValueReadOnly[T ctypes.Element](ctx context.Context, c *Client, name string) (*Value[T], error) {
	return attachValue[T](ctx, c, "open value", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindValue), Access: new(wire.AccessRead)})
}

func attachValue[T ctypes.Element](ctx context.Context, c *Client, op, name, method string,
	params ...any) (*Value[T], error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	d, err := newData[T](o, op)
	if err != nil {
		return nil, err
	}
	return &Value[T]{d}, nil
}

// Load reads the value.
func (v *Value[T]) Load() (T, error) { return v.load(0) }

// Store writes the value.
func (v *Value[T]) Store(x T) error { return v.store(0, x) }

// Add adds delta atomically and returns the value *before*; 4- and 8-byte types,
// else ErrUnsupported. Integers wrap, as sync/atomic's do.
func (v *Value[T]) Add(delta T) (old T, err error) { return v.add(0, delta) }

// Exchange stores x and returns the value before; 4- and 8-byte types.
func (v *Value[T]) Exchange(x T) (old T, err error) { return v.exchange(0, x) }

// CompareExchange stores desired if the value's bits equal expected's, and
// returns the value before; 4- and 8-byte types.
func (v *Value[T]) CompareExchange(expected, desired T) (swapped bool, old T, err error) {
	return v.compareExchange(0, expected, desired)
}
