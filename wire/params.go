package wire

import (
	"bytes"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

// Params reads an array value by value: the parameters of a request, or a list
// among them. What goes wrong is a *status.Error, BadParams, that names the
// parameter and says what stands there instead; its Op is empty, for the caller
// to say which method was attempted.
type Params struct {
	rest []byte
	all  int // elements of the array
	left int // of them not read yet
}

// NewParams takes an array with its header, such as Request.Params.
func NewParams(raw []byte) (Params, error) {
	n, size := readArrayHeader(raw)
	if size == 0 {
		return Params{}, badParams("params: want array, got %s", gotName(raw))
	}
	return Params{rest: raw[size:], all: n, left: n}, nil
}

func badParams(format string, args ...any) error {
	return status.New(status.BadParams, "", format, args...)
}

// gotName says what b begins with.
func gotName(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	return typeName(b[0])
}

// Len is the number of elements, read or not.
func (p *Params) Len() int { return p.all }

// More reports whether an element is left: an optional parameter is present.
func (p *Params) More() bool { return p.left > 0 }

// Arity checks the number of parameters.
func (p *Params) Arity(least, most int) error {
	switch {
	case p.all >= least && p.all <= most:
		return nil
	case least == most:
		return badParams("want %d parameters, got %d", least, p.all)
	}
	return badParams("want %d to %d parameters, got %d", least, most, p.all)
}

func (p *Params) wrong(what, want string) error {
	if p.left == 0 {
		return badParams("%s: want %s, it is missing", what, want)
	}
	return badParams("%s: want %s, got %s", what, want, gotName(p.rest))
}

// take moves behind a value of size bytes.
func (p *Params) take(size int) {
	p.rest = p.rest[size:]
	p.left--
}

// integer reads an integer from 0 to most or, if it is negative, from least.
func (p *Params) integer(what string, least int64, most uint64) (uint64, error) {
	if p.left == 0 {
		return 0, p.wrong(what, "integer")
	}
	v, negative, size := readInteger(p.rest)
	switch {
	case size == 0:
		return 0, p.wrong(what, "integer")
	case negative && int64(v) < least:
		return 0, badParams("%s: want integer of at least %d, got %d", what, least, int64(v))
	case !negative && v > most:
		return 0, badParams("%s: want integer of at most %d, got %d", what, most, v)
	}
	p.take(size)
	return v, nil
}

// Uint32 reads an integer from 0 to 2^32-1.
func (p *Params) Uint32(what string) (uint32, error) {
	v, err := p.integer(what, 0, math.MaxUint32)
	return uint32(v), err
}

// Uint64 reads an integer that is not negative.
func (p *Params) Uint64(what string) (uint64, error) { return p.integer(what, 0, math.MaxUint64) }

// Int64 reads an integer from -2^63 to 2^63-1.
func (p *Params) Int64(what string) (int64, error) {
	v, err := p.integer(what, math.MinInt64, math.MaxInt64)
	return int64(v), err
}

// Str reads a string, which must be UTF-8.
func (p *Params) Str(what string) (string, error) {
	if p.left == 0 {
		return "", p.wrong(what, "str")
	}
	payload, size := readStr(p.rest)
	if size == 0 {
		return "", p.wrong(what, "str")
	}
	if !utf8.Valid(payload) {
		return "", badParams("%s: the str is not UTF-8", what)
	}
	p.take(size)
	return string(payload), nil
}

// Bin reads bytes; they are part of the request.
func (p *Params) Bin(what string) ([]byte, error) {
	if p.left == 0 {
		return nil, p.wrong(what, "bin")
	}
	payload, size := readBin(p.rest)
	if size == 0 {
		return nil, p.wrong(what, "bin")
	}
	p.take(size)
	return payload, nil
}

// Bool reads a boolean.
func (p *Params) Bool(what string) (bool, error) {
	if p.left == 0 || len(p.rest) == 0 || p.rest[0] != mpFalse && p.rest[0] != mpTrue {
		return false, p.wrong(what, "boolean")
	}
	v := p.rest[0] == mpTrue
	p.take(1)
	return v, nil
}

// Uint32Or is Uint32, or fallback if the parameter is absent.
func (p *Params) Uint32Or(what string, fallback uint32) (uint32, error) {
	if p.left == 0 {
		return fallback, nil
	}
	return p.Uint32(what)
}

// Uint64Or is Uint64, or fallback if the parameter is absent.
func (p *Params) Uint64Or(what string, fallback uint64) (uint64, error) {
	if p.left == 0 {
		return fallback, nil
	}
	return p.Uint64(what)
}

// Int64Or is Int64, or fallback if the parameter is absent.
func (p *Params) Int64Or(what string, fallback int64) (int64, error) {
	if p.left == 0 {
		return fallback, nil
	}
	return p.Int64(what)
}

// BoolOr is Bool, or fallback if the parameter is absent.
func (p *Params) BoolOr(what string, fallback bool) (bool, error) {
	if p.left == 0 {
		return fallback, nil
	}
	return p.Bool(what)
}

// StrOr is Str, or fallback if the parameter is absent.
func (p *Params) StrOr(what, fallback string) (string, error) {
	if p.left == 0 {
		return fallback, nil
	}
	return p.Str(what)
}

// PeekStr reports whether the next element is a str: a ref is a name or an id.
func (p *Params) PeekStr() bool {
	return p.left > 0 && len(p.rest) > 0 && typeName(p.rest[0]) == "str"
}

// Ref reads a ref: a name that ValidateName accepts, or, if name is "", an id.
func (p *Params) Ref(what string) (name string, id uint64, err error) {
	if !p.PeekStr() {
		if id, err = p.integer(what, 0, math.MaxUint64); err != nil {
			return "", 0, p.wrong(what, "name or object id")
		}
		return "", id, nil
	}
	if name, err = p.Str(what); err != nil {
		return "", 0, err
	}
	return name, 0, ValidateName(name)
}

// Value reads any value and returns its bytes, which are part of the request.
func (p *Params) Value(what string) (raw []byte, err error) {
	if p.left == 0 {
		return nil, p.wrong(what, "a value")
	}
	n, err := Scan(p.rest)
	if err != nil || n == 0 {
		return nil, badParams("%s: malformed or cut off", what)
	}
	raw = p.rest[:n:n]
	p.take(n)
	return raw, nil
}

// Decoder reads any value and returns a decoder that stands before it. Give it
// back with ReleaseDecoder.
func (p *Params) Decoder(what string) (*msgpack.Decoder, error) {
	raw, err := p.Value(what)
	if err != nil {
		return nil, err
	}
	return ToDecoder(raw), nil
}

// List reads an array.
func (p *Params) List(what string) (Params, error) {
	if _, size := readArrayHeader(p.rest); p.left == 0 || size == 0 {
		return Params{}, p.wrong(what, "array")
	}
	raw, err := p.Value(what)
	if err != nil {
		return Params{}, err
	}
	return NewParams(raw)
}

// Map reads a map.
func (p *Params) Map(what string) (MapReader, error) {
	if _, size := readMapHeader(p.rest); p.left == 0 || size == 0 {
		return MapReader{}, p.wrong(what, "map")
	}
	raw, err := p.Value(what)
	if err != nil {
		return MapReader{}, err
	}
	return NewMapReader(raw)
}

// MapReader reads a map with string keys entry by entry. What a key means, and
// whether it may be there, twice or at all, is the caller's business.
type MapReader struct {
	rest []byte
	all  int
	left int
}

// NewMapReader takes a map with its header.
func NewMapReader(raw []byte) (MapReader, error) {
	n, size := readMapHeader(raw)
	if size == 0 {
		return MapReader{}, badParams("want map, got %s", gotName(raw))
	}
	return MapReader{rest: raw[size:], all: n, left: n}, nil
}

// Len is the number of entries, read or not.
func (m *MapReader) Len() int { return m.all }

// Next reads one entry; ok is false behind the last. The value is part of the
// map. Errors are BadParams.
func (m *MapReader) Next() (key string, value []byte, ok bool, err error) {
	if m.left == 0 {
		return "", nil, false, nil
	}
	payload, size := readStr(m.rest)
	if size == 0 {
		return "", nil, false, badParams("key of a map: want str, got %s", gotName(m.rest))
	}
	if !utf8.Valid(payload) {
		return "", nil, false, badParams("key of a map: the str is not UTF-8")
	}
	n, err := Scan(m.rest[size:])
	if err != nil || n == 0 {
		return "", nil, false, badParams("%.32s: malformed or cut off", payload)
	}
	value = m.rest[size : size+n : size+n]
	m.rest = m.rest[size+n:]
	m.left--
	return string(payload), value, true, nil
}

// SingleParam makes one value readable as Params of one element: the value of a
// map entry, for example.
func SingleParam(raw []byte) Params { return Params{rest: raw, all: 1, left: 1} }

var decoders = sync.Pool{New: func() any { return msgpack.NewDecoder(bytes.NewReader(nil)) }}

// ToDecoder returns a pooled decoder that stands at the beginning of raw, for
// ctypes.DecodeMsgpack above all. Give it back with ReleaseDecoder.
func ToDecoder(raw []byte) *msgpack.Decoder {
	d := decoders.Get().(*msgpack.Decoder)
	r := d.Buffered().(*bytes.Reader)
	r.Reset(raw)
	d.Reset(r)
	return d
}

// ReleaseDecoder gives a decoder of ToDecoder or Params.Decoder back.
func ReleaseDecoder(d *msgpack.Decoder) {
	var reader io.Reader = d.Buffered()
	if r, ok := reader.(*bytes.Reader); ok {
		r.Reset(nil)
		decoders.Put(d)
	}
}

// Lease reads the name of a lease, an array of slot, number and, optional, delivery.
func (p *Params) Lease(what string) (id LeaseID, err error) {
	list, err := p.List(what)
	if err != nil {
		return id, err
	}
	if err := list.Arity(2, 3); err != nil {
		return id, badParams("%s: want an array of slot, number and delivery, got %d elements", what, list.Len())
	}
	if id.Slot, err = list.Uint32(what + "'s slot"); err != nil {
		return id, err
	}
	if id.Seq, err = list.Uint64(what + "'s number"); err != nil {
		return id, err
	}
	id.Delivery, err = list.Uint32Or(what+"'s delivery", 0)
	return id, err
}
