package ctypes

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// chunkLength is how many bytes of a sequence are made room for ahead of what
// has arrived. A header that lies costs no more than this.
const chunkLength = 16 << 10

// AppendMsgpackSlice appends the elements of code c that mem holds, little
// endian and back to back, to b as msgpack: one bin if c is 'c', else an array
// of what [AppendMsgpack] appends. It returns the longer slice.
//
// Errors: *[LengthError] if mem is no whole number of elements, *[CountError]
// if there are more than msgpack can count (2^32-1), *[UnknownCodeError], and
// what AppendMsgpack returns, with the index of the element. Then b is returned
// as it was.
func AppendMsgpackSlice(b []byte, c Code, mem []byte) ([]byte, error) {
	if !c.Valid() {
		return b, unknownCode(c)
	}
	size := c.Size()
	if len(mem)%size != 0 {
		return b, &LengthError{Code: c, Length: len(mem)}
	}
	count := uint64(len(mem) / size)
	if err := checkCount(c, count, math.MaxUint32); err != nil {
		return b, err
	}
	if c == CodeChar {
		return append(appendBinHeader(b, uint32(count)), mem...), nil
	}
	whole := appendArrayHeader(b, uint32(count))
	for i := 0; i < len(mem); i += size {
		var err error
		whole, err = AppendMsgpack(whole, c, LoadBits(c, mem[i:]))
		if err != nil {
			return b, elementError(i/size, err)
		}
	}
	return whole, nil
}

// DecodeMsgpackSlice reads one msgpack value that holds a sequence of elements
// of code c and returns their bytes, little endian and back to back: an array
// of whatever [DecodeMsgpack] takes, for 'c' also one bin or str of its bytes,
// for 'u' also one str of its characters. An empty sequence is an empty slice.
//
// It stores at most maxCount elements (none if that is negative), and takes
// memory only as input arrives, whatever length the header declares.
//
// After a *RangeError, *TypeError or *CountError the value has been read whole
// and dec stands at the next one, as with DecodeMsgpack. What is read to that
// end is not stored, and no longer than what the peer sends: whoever reads from
// a stream bounds the size of its messages himself.
//
// Errors: as DecodeMsgpack, those about an element with its index (use
// errors.As), and *[CountError] if there are more than maxCount elements.
func DecodeMsgpackSlice(dec *msgpack.Decoder, c Code, maxCount int) ([]byte, error) {
	if !c.Valid() {
		return nil, unknownCode(c)
	}
	limit := uint64(max(maxCount, 0))
	kind, err := peekKind(dec)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == mpKindArray:
		return readArray(dec, c, limit)
	case c == CodeChar && (kind == mpKindBin || kind == mpKindStr):
		return readChars(dec, c, limit)
	case c == CodeWChar && kind == mpKindStr:
		return readWChars(dec, c, limit)
	}
	if err := skipValues(dec, 1); err != nil {
		return nil, err
	}
	return nil, &TypeError{Code: c, Got: "msgpack " + kind.String() + " as a sequence"}
}

// readArray reads an array of elements. Preconditions: dec stands at an array.
func readArray(dec *msgpack.Decoder, c Code, limit uint64) ([]byte, error) {
	n, err := dec.DecodeArrayLen()
	if err != nil {
		return nil, truncated(err)
	}
	count := uint64(n)
	if err := checkCount(c, count, limit); err != nil {
		return nil, after(skipValues(dec, count), err)
	}
	size := uint64(c.Size())
	mem := make([]byte, 0, min(count, chunkLength/size)*size)
	for i := range count {
		bits, err := DecodeMsgpack(dec, c)
		if err != nil {
			if isValueError(err) {
				return nil, after(skipValues(dec, count-i-1), elementError(int(i), err))
			}
			return nil, elementError(int(i), truncated(err))
		}
		mem = appendBits(mem, c, bits)
	}
	return mem, nil
}

// readChars reads a bin or str of bytes. Preconditions: dec stands at one.
func readChars(dec *msgpack.Decoder, c Code, limit uint64) ([]byte, error) {
	n, err := dec.DecodeBytesLen()
	if err != nil {
		return nil, truncated(err)
	}
	count := uint64(n)
	if err := checkCount(c, count, limit); err != nil {
		return nil, after(discard(dec, count), err)
	}
	return readBytes(dec, n)
}

// readWChars reads a str of characters. Preconditions: dec stands at a str.
func readWChars(dec *msgpack.Decoder, c Code, limit uint64) ([]byte, error) {
	n, err := dec.DecodeBytesLen()
	if err != nil {
		return nil, truncated(err)
	}
	// No character is longer than UTFMax: a str that must have too many is not
	// even kept.
	least := (uint64(n) + utf8.UTFMax - 1) / utf8.UTFMax
	if err := checkCount(c, least, limit); err != nil {
		return nil, after(discard(dec, uint64(n)), err)
	}
	text, err := readBytes(dec, n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(text) {
		return nil, &TypeError{Code: c, Got: "string that is not valid UTF-8"}
	}
	count := utf8.RuneCount(text)
	if err := checkCount(c, uint64(count), limit); err != nil {
		return nil, err
	}
	mem := make([]byte, 0, count*c.Size())
	for _, r := range string(text) {
		mem = appendBits(mem, c, uint64(r))
	}
	return mem, nil
}

// readBytes reads n bytes. The buffer grows as they arrive.
func readBytes(dec *msgpack.Decoder, n int) ([]byte, error) {
	buf := make([]byte, 0, min(n, chunkLength))
	for len(buf) < n {
		have := len(buf)
		part := min(n-have, chunkLength)
		buf = slices.Grow(buf, part)[:have+part]
		if err := dec.ReadFull(buf[have:]); err != nil {
			return nil, truncated(err)
		}
	}
	return buf, nil
}

// checkCount returns a CountError if count is over limit.
func checkCount(c Code, count, limit uint64) error {
	if count > limit {
		return &CountError{Code: c, Count: count, Max: limit}
	}
	return nil
}

// elementError says which element err is about.
func elementError(index int, err error) error {
	return fmt.Errorf("element %d: %w", index, err)
}

// after returns the error of reading past a bad value if there is one, for then
// the position is lost, and else the error about the value.
func after(skipErr, valueErr error) error {
	if skipErr != nil {
		return skipErr
	}
	return valueErr
}
