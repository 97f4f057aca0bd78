package ctypes

import (
	"encoding/binary"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// scratchLength is how much is read at once of input that is thrown away.
const scratchLength = 4096

// skipValues reads n values and forgets them. Unlike Decoder.Skip it does not
// recurse: a megabyte of nested arrays would cost Decoder.Skip a stack frame
// each, and Go cannot recover from a stack that is too deep. Here nesting is a
// number: each value read is one less to come, each container so many more.
func skipValues(dec *msgpack.Decoder, n uint64) error {
	scratch := make([]byte, scratchLength)
	for n > 0 {
		if err := dec.ReadFull(scratch[:1]); err != nil {
			return truncated(err)
		}
		payload, values, err := readSkipHeader(dec, scratch[0], scratch[:4])
		if err != nil {
			return err
		}
		if err := discardInto(dec, payload, scratch); err != nil {
			return err
		}
		n--
		if values > math.MaxUint64-n {
			// Some 2^31 headers of 2^33 values: not read in a lifetime.
			return ErrMalformed
		}
		n += values
	}
	return nil
}

// readSkipHeader reads what follows the first byte of a value up to where its
// length is known. It returns how many bytes of payload and how many values
// come after. Preconditions: len(buf) is 4.
func readSkipHeader(dec *msgpack.Decoder, code byte, buf []byte) (payload, values uint64, err error) {
	switch kind := mpKindOf(code); kind {
	case mpKindNever:
		return 0, 0, malformed(code)
	case mpKindArray, mpKindMap, mpKindStr, mpKindBin:
		n, err := readSkipLength(dec, code, buf)
		switch kind {
		case mpKindArray:
			return 0, n, err
		case mpKindMap:
			return 0, 2 * n, err // a key and a value each
		default:
			return n, 0, err
		}
	case mpKindExt:
		n, err := readSkipLength(dec, code, buf)
		return n + 1, 0, err // the type is one byte
	default:
		return scalarLength(code), 0, nil
	}
}

// readSkipLength returns the length in the header of a str, bin, array, map or
// extension value.
func readSkipLength(dec *msgpack.Decoder, code byte, buf []byte) (uint64, error) {
	var size int
	switch code {
	case mpFixExt1, mpFixExt2, mpFixExt4, mpFixExt8, mpFixExt16:
		return 1 << (code - mpFixExt1), nil
	case mpStr8, mpBin8, mpExt8:
		size = 1
	case mpStr16, mpBin16, mpExt16, mpArray16, mpMap16:
		size = 2
	case mpStr32, mpBin32, mpExt32, mpArray32, mpMap32:
		size = 4
	default:
		if code >= mpFixStr {
			return uint64(code & 0x1f), nil
		}
		return uint64(code & 0x0f), nil // fixarray or fixmap
	}
	clear(buf)
	if err := dec.ReadFull(buf[4-size:]); err != nil {
		return 0, truncated(err)
	}
	return uint64(binary.BigEndian.Uint32(buf)), nil
}

// scalarLength returns how many bytes follow the first of a number, bool or
// nil.
func scalarLength(code byte) uint64 {
	switch code {
	case mpUint8, mpInt8:
		return 1
	case mpUint16, mpInt16:
		return 2
	case mpUint32, mpInt32, mpFloat32:
		return 4
	case mpUint64, mpInt64, mpFloat64:
		return 8
	default:
		return 0
	}
}

// discard reads n bytes and forgets them.
func discard(dec *msgpack.Decoder, n uint64) error {
	return discardInto(dec, n, make([]byte, min(n, scratchLength)))
}

// discardInto reads n bytes and forgets them, by way of scratch.
func discardInto(dec *msgpack.Decoder, n uint64, scratch []byte) error {
	for n > 0 {
		part := scratch[:min(n, uint64(len(scratch)))]
		if err := dec.ReadFull(part); err != nil {
			return truncated(err)
		}
		n -= uint64(len(part))
	}
	return nil
}
