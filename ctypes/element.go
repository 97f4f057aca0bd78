package ctypes

// Char is the element type of code 'c', a C char as one byte. It is a type of
// its own because uint8 is the element type of 'B'.
type Char uint8

// WChar is the element type of code 'u', a C wchar_t. It is a type of its own
// because int32, which is also rune, is the element type of 'i'. Not every
// WChar is a character: [Decode] checks, a raw view does not.
type WChar int32

// Element lists the Go types that lie in memory exactly as an element of some
// code does.
//
// A raw view of type []bool is sound only while every byte is 0 or 1, which
// the functions of this package write and which a peer may break; [Decode]
// takes any byte but 0 for true.
type Element interface {
	Char | int8 | uint8 | WChar | int16 | uint16 | int32 | uint32 |
		int64 | uint64 | float32 | float64 | bool | Half
}

// CodeOf returns the code whose elements are T. int64 yields 'q' and uint64
// yields 'Q'; 'l' and 'L' are merely [Compatible] with them.
func CodeOf[T Element]() Code {
	var zero T
	switch any(zero).(type) {
	case Char:
		return CodeChar
	case int8:
		return CodeSChar
	case uint8:
		return CodeUChar
	case WChar:
		return CodeWChar
	case int16:
		return CodeShort
	case uint16:
		return CodeUShort
	case int32:
		return CodeInt
	case uint32:
		return CodeUInt
	case int64:
		return CodeLongLong
	case uint64:
		return CodeULongLong
	case float32:
		return CodeFloat
	case float64:
		return CodeDouble
	case bool:
		return CodeBool
	default: // Half, the only one left
		return CodeHalf
	}
}

// Compatible reports whether elements of code c may be used as T: c is
// CodeOf[T], or T is int64 and c is 'l', or T is uint64 and c is 'L'.
func Compatible[T Element](c Code) bool {
	own := CodeOf[T]()
	switch c {
	case CodeLong:
		return own == CodeLongLong
	case CodeULong:
		return own == CodeULongLong
	default:
		return own == c
	}
}
