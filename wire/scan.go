package wire

import (
	"encoding/binary"

	"github.com/shmd/shmd/status"
)

// Scanner finds the end of the first msgpack value in a buffer that grows as
// bytes arrive. It keeps its place between calls, so that a message of n bytes
// costs O(n) however small its pieces. The zero Scanner is ready.
type Scanner struct {
	// at is where the next header is expected; beyond the buffer while the
	// payload of a string is on its way.
	at int
	// owed counts the values that the headers so far have promised. Each takes
	// at least one byte, so at+owed is the least length the message can have.
	owed int
	// left holds the values still to come of every open array and map.
	left  [DepthMax]int32
	depth int
	begun bool
	limit int // bytes of the longest value; 0 = MessageMax
}

// Reset makes s forget the value it is in.
func (s *Scanner) Reset() { s.at, s.owed, s.depth, s.begun = 0, 0, 0, false }

// Scan returns the length of the first complete msgpack value in b, or 0 if it
// is not complete yet. The error is a *status.Error: BadFrame for what is no
// msgpack or nests deeper than DepthMax, TooLarge for what is or declares to
// become longer than MessageMax.
func Scan(b []byte) (n int, err error) {
	var s Scanner
	return s.Next(b)
}

// Next is Scan that goes on where the last call ended. Until it returns a
// length, b must begin with the bytes of the last call; after that, with the
// byte behind the value. After an error the stream has no known place to go on.
func (s *Scanner) Next(b []byte) (n int, err error) {
	if !s.begun {
		s.begun, s.owed = true, 1
	}
	limit := s.limit
	if limit == 0 {
		limit = MessageMax
	}
	for s.owed > 0 {
		if s.at >= len(b) {
			return 0, nil
		}
		size, inner := 0, 0
		c := b[s.at]
		switch {
		case c < 0x80 || c >= 0xe0: // fixint
			size = 1
		case c < 0x90: // fixmap
			size, inner = 1, 2*int(c&0x0f)
		case c < 0xa0: // fixarray
			size, inner = 1, int(c&0x0f)
		case c < 0xc0: // fixstr
			size = 1 + int(c&0x1f)
		case c == mpNever:
			return 0, status.New(status.BadFrame, "scan", "byte 0xc1 at %d is no msgpack", s.at)
		default:
			f := forms[c-0xc0]
			size = int(f.size)
			if f.lengthBytes > 0 {
				length, ok := bigEndian(b[s.at+1:], int(f.lengthBytes))
				if !ok {
					return 0, nil
				}
				if length > uint64(limit) {
					return 0, tooLarge(length, limit)
				}
				if f.inner > 0 {
					inner = int(length) * int(f.inner)
				} else {
					size += int(length)
				}
			}
		}
		opens := c >= 0x80 && c < 0xa0 || c >= mpArray16 && c <= mpMap32
		s.at += size
		s.owed += inner - 1
		if s.at+s.owed > limit {
			return 0, tooLarge(uint64(s.at)+uint64(s.owed), limit)
		}
		if s.depth > 0 {
			s.left[s.depth-1]--
		}
		if opens {
			if s.depth == DepthMax {
				return 0, status.New(status.BadFrame, "scan", "arrays and maps nest deeper than %d", DepthMax)
			}
			s.left[s.depth] = int32(inner)
			s.depth++
		}
		for s.depth > 0 && s.left[s.depth-1] == 0 {
			s.depth--
		}
	}
	if s.at > len(b) {
		return 0, nil
	}
	n = s.at
	s.Reset()
	return n, nil
}

func tooLarge(n uint64, limit int) error {
	return status.New(status.TooLarge, "scan", "%d bytes or more, the limit is %d", n, limit)
}

// form says how a value with a first byte from 0xc0 to 0xdf is laid out.
type form struct {
	size        uint8 // bytes without what the length counts
	lengthBytes uint8 // width of the length behind the first byte
	inner       uint8 // values per unit of length; 0: the length counts bytes
}

var forms = [32]form{
	mpNil - 0xc0:      {1, 0, 0},
	mpFalse - 0xc0:    {1, 0, 0},
	mpTrue - 0xc0:     {1, 0, 0},
	mpBin8 - 0xc0:     {2, 1, 0},
	mpBin16 - 0xc0:    {3, 2, 0},
	mpBin32 - 0xc0:    {5, 4, 0},
	mpExt8 - 0xc0:     {3, 1, 0},
	mpExt16 - 0xc0:    {4, 2, 0},
	mpExt32 - 0xc0:    {6, 4, 0},
	mpFloat32 - 0xc0:  {5, 0, 0},
	mpFloat64 - 0xc0:  {9, 0, 0},
	mpUint8 - 0xc0:    {2, 0, 0},
	mpUint16 - 0xc0:   {3, 0, 0},
	mpUint32 - 0xc0:   {5, 0, 0},
	mpUint64 - 0xc0:   {9, 0, 0},
	mpInt8 - 0xc0:     {2, 0, 0},
	mpInt16 - 0xc0:    {3, 0, 0},
	mpInt32 - 0xc0:    {5, 0, 0},
	mpInt64 - 0xc0:    {9, 0, 0},
	mpFixExt1 - 0xc0:  {3, 0, 0},
	mpFixExt2 - 0xc0:  {4, 0, 0},
	mpFixExt4 - 0xc0:  {6, 0, 0},
	mpFixExt8 - 0xc0:  {10, 0, 0},
	mpFixExt16 - 0xc0: {18, 0, 0},
	mpStr8 - 0xc0:     {2, 1, 0},
	mpStr16 - 0xc0:    {3, 2, 0},
	mpStr32 - 0xc0:    {5, 4, 0},
	mpArray16 - 0xc0:  {3, 2, 1},
	mpArray32 - 0xc0:  {5, 4, 1},
	mpMap16 - 0xc0:    {3, 2, 2},
	mpMap32 - 0xc0:    {5, 4, 2},
}

// bigEndian reads the first width bytes of b; not ok if there are fewer.
func bigEndian(b []byte, width int) (v uint64, ok bool) {
	if len(b) < width {
		return 0, false
	}
	switch width {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true
	default:
		return binary.BigEndian.Uint64(b), true
	}
}
