package ctypes

import (
	"testing"
	"unsafe"
)

// checkElement checks that T is the element of want, that it is compatible with
// want and also, and with no other code.
func checkElement[T Element](t *testing.T, want Code, also ...Code) {
	t.Helper()
	var zero T
	if got := CodeOf[T](); got != want {
		t.Errorf("CodeOf[%T] = %q, want %q", zero, got, want)
	}
	if size := int(unsafe.Sizeof(zero)); size != want.Size() {
		t.Errorf("%T has %d bytes, %q has %d", zero, size, want, want.Size())
	}
	if align := int(unsafe.Alignof(zero)); align != want.Align() {
		t.Errorf("%T is aligned to %d, %q to %d", zero, align, want, want.Align())
	}
	compatible := map[Code]bool{want: true}
	for _, c := range also {
		compatible[c] = true
	}
	for i := range 256 {
		if c := Code(i); Compatible[T](c) != compatible[c] {
			t.Errorf("Compatible[%T](%q) = %v", zero, c, !compatible[c])
		}
	}
}

func TestElements(t *testing.T) {
	checkElement[Char](t, 'c')
	checkElement[int8](t, 'b')
	checkElement[uint8](t, 'B')
	checkElement[WChar](t, 'u')
	checkElement[int16](t, 'h')
	checkElement[uint16](t, 'H')
	checkElement[int32](t, 'i')
	checkElement[uint32](t, 'I')
	checkElement[int64](t, 'q', 'l')
	checkElement[uint64](t, 'Q', 'L')
	checkElement[float32](t, 'f')
	checkElement[float64](t, 'd')
	checkElement[bool](t, '?')
	checkElement[Half](t, 'e')
}
