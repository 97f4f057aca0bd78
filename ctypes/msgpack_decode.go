package ctypes

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// errNoInput answers the use of a Decoder that cannot read.
var errNoInput = errors.New("ctypes: the msgpack decoder is nil or has no reader")

// DecodeMsgpack reads one msgpack value and returns its bit pattern as an
// element of code c. It takes what [Encode] takes: an integer in any of its
// forms, float 32 or 64, bool, str and bin.
//
// After a *RangeError or *TypeError the value has been read whole, nested ones
// included, and dec stands at the next one: the caller may answer with the
// error and read on. After any other error the position is lost.
//
// Errors: as [Encode]; io.EOF if there is no byte to read,
// io.ErrUnexpectedEOF if the value is cut off, [ErrMalformed], and whatever the
// reader returns. With *[UnknownCodeError] nothing has been read.
func DecodeMsgpack(dec *msgpack.Decoder, c Code) (uint64, error) {
	if !c.Valid() {
		return 0, unknownCode(c)
	}
	o, err := readOperand(dec)
	if err != nil {
		return 0, err
	}
	return o.encode(c)
}

// peekKind returns the family of the next value without reading it. io.EOF
// means that there is none.
func peekKind(dec *msgpack.Decoder) (mpKind, error) {
	if dec == nil || dec.Buffered() == nil {
		return mpKindNever, errNoInput
	}
	code, err := dec.PeekCode()
	if err != nil {
		return mpKindNever, err
	}
	kind := mpKindOf(code)
	if kind == mpKindNever {
		return kind, malformed(code)
	}
	return kind, nil
}

// malformed returns the error for a byte that begins no msgpack value.
func malformed(code byte) error {
	return fmt.Errorf("ctypes: no value begins with byte 0x%02x: %w", code, ErrMalformed)
}

// readOperand reads one value. A value that no code takes is skipped and comes
// back as formOther, a str or bin too long for any code by its length alone.
func readOperand(dec *msgpack.Decoder) (operand, error) {
	kind, err := peekKind(dec)
	if err != nil {
		return operand{}, err
	}
	switch kind {
	case mpKindUint:
		u, err := dec.DecodeUint64()
		return uintOperand(u), truncated(err)
	case mpKindInt:
		i, err := dec.DecodeInt64()
		return intOperand(i), truncated(err)
	case mpKindFloat32:
		f, err := dec.DecodeFloat32()
		return operand{form: formFloat32, bits: uint64(math.Float32bits(f))}, truncated(err)
	case mpKindFloat64:
		f, err := dec.DecodeFloat64()
		return operand{form: formFloat64, bits: math.Float64bits(f)}, truncated(err)
	case mpKindBool:
		b, err := dec.DecodeBool()
		return boolOperand(b), truncated(err)
	case mpKindStr:
		return readTextOperand(dec, formText)
	case mpKindBin:
		return readTextOperand(dec, formBytes)
	default:
		err := skipValues(dec, 1)
		return operand{name: "msgpack " + kind.String()}, err
	}
}

// readTextOperand reads a str or bin, of which it keeps at most one character.
// Preconditions: dec stands at a str or bin.
func readTextOperand(dec *msgpack.Decoder, form form) (operand, error) {
	n, err := dec.DecodeBytesLen()
	if err != nil {
		return operand{}, truncated(err)
	}
	o := operand{form: form, length: n}
	if n > len(o.data) {
		return o, discard(dec, uint64(n))
	}
	buf := make([]byte, n, utf8.UTFMax)
	if err := dec.ReadFull(buf); err != nil {
		return operand{}, truncated(err)
	}
	copy(o.data[:], buf)
	return o, nil
}
