// Package ctypes is the table of C type codes: what one element of a shared
// value or array is, how wide it is, what it may hold, and how it travels
// between shared bytes, Go values, MessagePack and a command line.
//
// # Codes
//
// A [Code] is one letter, the one Python's multiprocessing and array modules
// use, with the sizes of LP64 Linux. Two letters are added: '?' (_Bool) and
// 'e' (IEEE binary16). Explicit-width names (i8 .. f64, char, wchar, bool) are
// accepted wherever a letter is, because 'l' does not say 8 bytes to everyone.
//
//	code  C type              name   size  holds
//	c     char                char   1     one byte, 0 to 255
//	b     signed char         i8     1     integers
//	B     unsigned char       u8     1
//	u     wchar_t             wchar  4     one Unicode scalar value
//	h     short               i16    2
//	H     unsigned short      u16    2
//	i     int                 i32    4
//	I     unsigned int        u32    4
//	l     long                i64    8
//	L     unsigned long       u64    8
//	q     long long           i64    8
//	Q     unsigned long long  u64    8
//	f     float               f32    4     floats, infinities, NaN
//	d     double              f64    8
//	?     _Bool               bool   1     false, true
//	e     _Float16            f16    2     floats, infinities, NaN
//
// # Bit patterns
//
// Every conversion goes through a bit pattern: a uint64 whose low Size bytes
// are the element as it stands in memory, little endian. Functions that take a
// pattern ignore the bits above; functions that return one leave them zero.
//
// # Difference from Python
//
// multiprocessing wraps integers silently: Value('B', 300) holds 44. Here
// nothing wraps: a value that the code cannot hold is a [RangeError], a value
// of the wrong sort is a [TypeError], and neither changes anything.
//
// # Trust model
//
// Bit patterns, msgpack and text come from peers. Whatever they hold, the
// result is a value or an error: no panic, no recursion on nesting, and no
// allocation taken from a declared length. Stored bits that are no value of
// their code ('u' outside Unicode) read as an error.
//
// # Limits
//
// The package knows no shared memory: [LoadBits] and [StoreBits] work on
// private buffers and are not atomic. It does no locking, holds no state and
// every function may be called from any goroutine. It knows no shapes, no
// structures and no byte order but little endian.
package ctypes
