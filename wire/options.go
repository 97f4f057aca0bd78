package wire

import (
	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

// CreateOptions are the options of create and open_or_create. Nil is absent.
type CreateOptions struct {
	Code   *string            `msgpack:"code,omitempty"`
	Length *uint64            `msgpack:"length,omitempty"`
	Shape  []uint64           `msgpack:"shape,omitempty"`
	Init   msgpack.RawMessage `msgpack:"init,omitempty"` // one value as msgpack
	// Lock is LockOwn, LockNone, "@" and the name of a mutex, or, as a uint64,
	// its id.
	Lock      any     `msgpack:"lock,omitempty"`
	Recursive *bool   `msgpack:"recursive,omitempty"`
	UnlockAny *bool   `msgpack:"unlock_any,omitempty"`
	Strict    *bool   `msgpack:"strict,omitempty"`
	SeatsMax  *uint32 `msgpack:"seats_max,omitempty"`
	Mode      *uint32 `msgpack:"mode,omitempty"`
	Lifetime  *string `msgpack:"lifetime,omitempty"`

	Initial *uint32 `msgpack:"initial,omitempty"`
	Maximum *uint32 `msgpack:"maximum,omitempty"`
	Undo    *bool   `msgpack:"undo,omitempty"`

	Content       *string `msgpack:"content,omitempty"`
	MaxSize       *uint32 `msgpack:"maxsize,omitempty"`
	SlotSize      *uint32 `msgpack:"slot_size,omitempty"`
	MessageMax    *uint32 `msgpack:"message_max,omitempty"`
	DeliveriesMax *uint32 `msgpack:"deliveries_max,omitempty"`
	LeaseNS       *uint64 `msgpack:"lease_ns,omitempty"`

	AutoReset *bool   `msgpack:"auto_reset,omitempty"`
	Set       *bool   `msgpack:"set,omitempty"`
	Parties   *uint32 `msgpack:"parties,omitempty"`

	Capacity *uint32 `msgpack:"capacity,omitempty"`
	Bytes    *bool   `msgpack:"bytes,omitempty"`

	Map *bool `msgpack:"map,omitempty"`
}

// OpenOptions are the options of open. Nil is absent.
type OpenOptions struct {
	Access *string  `msgpack:"access,omitempty"`
	Kind   *string  `msgpack:"kind,omitempty"`
	Code   *string  `msgpack:"code,omitempty"`
	Length *uint64  `msgpack:"length,omitempty"`
	Shape  []uint64 `msgpack:"shape,omitempty"`
	Party  *bool    `msgpack:"party,omitempty"`
	Role   *string  `msgpack:"role,omitempty"`
	Ticket []byte   `msgpack:"ticket,omitempty"`
	Map    *bool    `msgpack:"map,omitempty"`
}

// shapeMax bounds what is decoded of a shape. One dimension more than an array
// may have, so that whoever checks shapes sees that there are too many.
const shapeMax = 9

// DecodeCreateOptions reads an option map strictly: an option that is unknown
// or given twice is Invalid, a value of the wrong type BadParams. Whether the
// values make sense is not looked at.
func DecodeCreateOptions(raw []byte) (CreateOptions, error) {
	var o CreateOptions
	err := eachOption(raw, func(key string, v *Params) (known bool, err error) {
		switch key {
		case "code":
			o.Code, err = option(v.Str(key))
		case "length":
			o.Length, err = option(v.Uint64(key))
		case "shape":
			o.Shape, err = shape(v)
		case "init":
			o.Init, err = v.Value(key)
		case "lock":
			if v.PeekStr() {
				o.Lock, err = v.Str(key)
			} else {
				o.Lock, err = v.Uint64(key)
			}
		case "recursive":
			o.Recursive, err = option(v.Bool(key))
		case "unlock_any":
			o.UnlockAny, err = option(v.Bool(key))
		case "strict":
			o.Strict, err = option(v.Bool(key))
		case "seats_max":
			o.SeatsMax, err = option(v.Uint32(key))
		case "mode":
			o.Mode, err = option(v.Uint32(key))
		case "lifetime":
			o.Lifetime, err = option(v.Str(key))
		case "initial":
			o.Initial, err = option(v.Uint32(key))
		case "maximum":
			o.Maximum, err = option(v.Uint32(key))
		case "undo":
			o.Undo, err = option(v.Bool(key))
		case "content":
			o.Content, err = option(v.Str(key))
		case "maxsize":
			o.MaxSize, err = option(v.Uint32(key))
		case "slot_size":
			o.SlotSize, err = option(v.Uint32(key))
		case "message_max":
			o.MessageMax, err = option(v.Uint32(key))
		case "deliveries_max":
			o.DeliveriesMax, err = option(v.Uint32(key))
		case "lease_ns":
			o.LeaseNS, err = option(v.Uint64(key))
		case "auto_reset":
			o.AutoReset, err = option(v.Bool(key))
		case "set":
			o.Set, err = option(v.Bool(key))
		case "parties":
			o.Parties, err = option(v.Uint32(key))
		case "capacity":
			o.Capacity, err = option(v.Uint32(key))
		case "bytes":
			o.Bytes, err = option(v.Bool(key))
		case "map":
			o.Map, err = option(v.Bool(key))
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return CreateOptions{}, err
	}
	return o, nil
}

// DecodeOpenOptions is DecodeCreateOptions for open.
func DecodeOpenOptions(raw []byte) (OpenOptions, error) {
	var o OpenOptions
	err := eachOption(raw, func(key string, v *Params) (known bool, err error) {
		switch key {
		case "access":
			o.Access, err = option(v.Str(key))
		case "kind":
			o.Kind, err = option(v.Str(key))
		case "code":
			o.Code, err = option(v.Str(key))
		case "length":
			o.Length, err = option(v.Uint64(key))
		case "shape":
			o.Shape, err = shape(v)
		case "party":
			o.Party, err = option(v.Bool(key))
		case "role":
			o.Role, err = option(v.Str(key))
		case "map":
			o.Map, err = option(v.Bool(key))
		case "ticket":
			o.Ticket, err = v.Bin(key)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return OpenOptions{}, err
	}
	return o, nil
}

// eachOption calls set for every entry of an option map.
func eachOption(raw []byte, set func(key string, v *Params) (known bool, err error)) error {
	m, err := NewMapReader(raw)
	if err != nil {
		return badParams("options: want map, got %s", gotName(raw))
	}
	// No map of options is longer than the options there are; a slice finds
	// what is given twice.
	var seen []string
	for {
		key, value, ok, err := m.Next()
		if err != nil || !ok {
			return err
		}
		for _, other := range seen {
			if other == key {
				return status.New(status.Invalid, "", "option %.64q is given twice", key)
			}
		}
		seen = append(seen, key)
		v := SingleParam(value)
		known, err := set(key, &v)
		if err != nil {
			return err
		}
		if !known {
			return status.New(status.Invalid, "", "unknown option %.64q", key)
		}
	}
}

// option makes the result of a read a pointer.
func option[T any](v T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// shape reads a list of dimensions; one that is empty is not nil.
func shape(v *Params) ([]uint64, error) {
	list, err := v.List("shape")
	if err != nil {
		return nil, err
	}
	dims := make([]uint64, 0, shapeMax)
	for list.More() && len(dims) < shapeMax {
		dim, err := list.Uint64("dimension of shape")
		if err != nil {
			return nil, err
		}
		dims = append(dims, dim)
	}
	return dims, nil
}
