package ctypes

// The first bytes of msgpack values, as the specification names them. They are
// constants here because msgpcode of the msgpack library has variables, which
// neither a switch nor the compiler can make much of. A test compares the two.
const (
	mpFixIntMax    = 0x7f // 0x00-0x7f: positive fixint
	mpFixMap       = 0x80 // 0x80-0x8f
	mpFixArray     = 0x90 // 0x90-0x9f
	mpFixStr       = 0xa0 // 0xa0-0xbf
	mpNil          = 0xc0
	mpNever        = 0xc1
	mpFalse        = 0xc2
	mpTrue         = 0xc3
	mpBin8         = 0xc4
	mpBin16        = 0xc5
	mpBin32        = 0xc6
	mpExt8         = 0xc7
	mpExt16        = 0xc8
	mpExt32        = 0xc9
	mpFloat32      = 0xca
	mpFloat64      = 0xcb
	mpUint8        = 0xcc
	mpUint16       = 0xcd
	mpUint32       = 0xce
	mpUint64       = 0xcf
	mpInt8         = 0xd0
	mpInt16        = 0xd1
	mpInt32        = 0xd2
	mpInt64        = 0xd3
	mpFixExt1      = 0xd4
	mpFixExt2      = 0xd5
	mpFixExt4      = 0xd6
	mpFixExt8      = 0xd7
	mpFixExt16     = 0xd8
	mpStr8         = 0xd9
	mpStr16        = 0xda
	mpStr32        = 0xdb
	mpArray16      = 0xdc
	mpArray32      = 0xdd
	mpMap16        = 0xde
	mpMap32        = 0xdf
	mpNegFixIntMin = 0xe0 // 0xe0-0xff: negative fixint
)

// mpKind is the family of a msgpack value.
type mpKind uint8

const (
	mpKindNever mpKind = iota // no msgpack at all
	mpKindNil
	mpKindBool
	mpKindInt
	mpKindUint
	mpKindFloat32
	mpKindFloat64
	mpKindStr
	mpKindBin
	mpKindArray
	mpKindMap
	mpKindExt
)

// mpKindOf returns the family of the value that begins with code.
func mpKindOf(code byte) mpKind {
	switch {
	case code <= mpFixIntMax:
		return mpKindUint
	case code >= mpNegFixIntMin:
		return mpKindInt
	case code < mpFixArray:
		return mpKindMap
	case code < mpFixStr:
		return mpKindArray
	case code < mpNil:
		return mpKindStr
	}
	switch code {
	case mpNil:
		return mpKindNil
	case mpFalse, mpTrue:
		return mpKindBool
	case mpBin8, mpBin16, mpBin32:
		return mpKindBin
	case mpFloat32:
		return mpKindFloat32
	case mpFloat64:
		return mpKindFloat64
	case mpUint8, mpUint16, mpUint32, mpUint64:
		return mpKindUint
	case mpInt8, mpInt16, mpInt32, mpInt64:
		return mpKindInt
	case mpStr8, mpStr16, mpStr32:
		return mpKindStr
	case mpArray16, mpArray32:
		return mpKindArray
	case mpMap16, mpMap32:
		return mpKindMap
	case mpNever:
		return mpKindNever
	default: // all that is left
		return mpKindExt
	}
}

// String names the family for an error.
func (k mpKind) String() string {
	switch k {
	case mpKindNil:
		return "nil"
	case mpKindArray:
		return "array"
	case mpKindMap:
		return "map"
	case mpKindExt:
		return "extension value"
	case mpKindStr:
		return "string"
	case mpKindBin:
		return "byte string"
	default:
		return "number or bool"
	}
}
