package wire

// First bytes of msgpack values, as the specification names them.
const (
	mpNil      = 0xc0
	mpNever    = 0xc1
	mpFalse    = 0xc2
	mpTrue     = 0xc3
	mpBin8     = 0xc4
	mpBin16    = 0xc5
	mpBin32    = 0xc6
	mpExt8     = 0xc7
	mpExt16    = 0xc8
	mpExt32    = 0xc9
	mpFloat32  = 0xca
	mpFloat64  = 0xcb
	mpUint8    = 0xcc
	mpUint16   = 0xcd
	mpUint32   = 0xce
	mpUint64   = 0xcf
	mpInt8     = 0xd0
	mpInt16    = 0xd1
	mpInt32    = 0xd2
	mpInt64    = 0xd3
	mpFixExt1  = 0xd4
	mpFixExt2  = 0xd5
	mpFixExt4  = 0xd6
	mpFixExt8  = 0xd7
	mpFixExt16 = 0xd8
	mpStr8     = 0xd9
	mpStr16    = 0xda
	mpStr32    = 0xdb
	mpArray16  = 0xdc
	mpArray32  = 0xdd
	mpMap16    = 0xde
	mpMap32    = 0xdf
)

// typeName is what a value that begins with c is called in error texts.
func typeName(c byte) string {
	switch {
	case c < 0x80 || c >= 0xe0 || c >= mpUint8 && c <= mpInt64:
		return "integer"
	case c < 0x90 || c == mpMap16 || c == mpMap32:
		return "map"
	case c < 0xa0 || c == mpArray16 || c == mpArray32:
		return "array"
	case c < 0xc0 || c >= mpStr8 && c <= mpStr32:
		return "str"
	case c == mpNil:
		return "nil"
	case c == mpFalse || c == mpTrue:
		return "boolean"
	case c >= mpBin8 && c <= mpBin32:
		return "bin"
	case c == mpFloat32 || c == mpFloat64:
		return "float"
	case c == mpNever:
		return "no msgpack"
	}
	return "ext"
}

// The functions below read a header at the start of b and return how many bytes
// it has; size 0 means that b does not begin with such a header, whole.

func readInteger(b []byte) (v uint64, negative bool, size int) {
	if len(b) == 0 {
		return 0, false, 0
	}
	c := b[0]
	switch {
	case c < 0x80:
		return uint64(c), false, 1
	case c >= 0xe0:
		return uint64(int64(int8(c))), true, 1
	case c >= mpUint8 && c <= mpUint64:
		width := 1 << (c - mpUint8)
		v, ok := bigEndian(b[1:], width)
		if !ok {
			return 0, false, 0
		}
		return v, false, 1 + width
	case c >= mpInt8 && c <= mpInt64:
		width := 1 << (c - mpInt8)
		v, ok := bigEndian(b[1:], width)
		if !ok {
			return 0, false, 0
		}
		shift := 64 - 8*width
		i := int64(v<<shift) >> shift
		return uint64(i), i < 0, 1 + width
	}
	return 0, false, 0
}

// readStr returns the payload of a str and the size of header and payload.
func readStr(b []byte) (payload []byte, size int) {
	if len(b) > 0 && b[0] >= 0xa0 && b[0] < 0xc0 {
		return readPayload(b, 0, uint64(b[0]&0x1f))
	}
	return readSized(b, mpStr8)
}

// readBin is readStr for a bin.
func readBin(b []byte) (payload []byte, size int) { return readSized(b, mpBin8) }

// readSized reads a value whose first byte is base, base+1 or base+2 for a
// length of 1, 2 or 4 bytes.
func readSized(b []byte, base byte) (payload []byte, size int) {
	if len(b) == 0 || b[0] < base || b[0] > base+2 {
		return nil, 0
	}
	width := 1 << (b[0] - base)
	length, ok := bigEndian(b[1:], width)
	if !ok {
		return nil, 0
	}
	return readPayload(b, width, length)
}

func readPayload(b []byte, width int, length uint64) (payload []byte, size int) {
	begin := 1 + width
	if length > uint64(len(b)-begin) {
		return nil, 0
	}
	end := begin + int(length)
	return b[begin:end:end], end
}

func readArrayHeader(b []byte) (n, size int) { return readCount(b, 0x90, mpArray16) }

func readMapHeader(b []byte) (n, size int) { return readCount(b, 0x80, mpMap16) }

func readCount(b []byte, fix, base byte) (n, size int) {
	switch {
	case len(b) == 0:
		return 0, 0
	case b[0]&0xf0 == fix:
		return int(b[0] & 0x0f), 1
	case b[0] == base || b[0] == base+1:
		width := 2 << (b[0] - base)
		v, ok := bigEndian(b[1:], width)
		if !ok || v > MessageMax {
			return 0, 0
		}
		return int(v), 1 + width
	}
	return 0, 0
}
