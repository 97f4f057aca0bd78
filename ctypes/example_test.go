package ctypes_test

import (
	"fmt"

	"github.com/shmd/shmd/ctypes"
)

func Example() {
	c, err := ctypes.Parse("u8")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c, c.CName(), c.Size())

	bits, err := ctypes.Encode(c, 200)
	if err != nil {
		fmt.Println(err)
		return
	}
	buf := make([]byte, c.Size())
	ctypes.StoreBits(c, buf, bits)
	v, err := ctypes.Decode(c, ctypes.LoadBits(c, buf))
	fmt.Println(v, err)

	_, err = ctypes.Encode(c, 300)
	fmt.Println(err)
	// Output:
	// B unsigned char 1
	// 200 <nil>
	// value 300 is out of range for 'B' (unsigned char): 0 to 255
}

func ExampleCompatible() {
	fmt.Println(ctypes.CodeOf[int64]())
	fmt.Println(ctypes.Compatible[int64](ctypes.CodeLong))
	fmt.Println(ctypes.Compatible[int32](ctypes.CodeWChar))
	// Output:
	// q
	// true
	// false
}

func ExampleParseText() {
	for _, text := range []string{"-1", "0x7f", "128", "1.5"} {
		bits, err := ctypes.ParseText(ctypes.CodeSChar, text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(ctypes.FormatText(ctypes.CodeSChar, bits))
	}
	// Output:
	// -1
	// 127
	// value 128 is out of range for 'b' (signed char): -128 to 127
	// text "1.5" cannot be stored in 'b' (signed char), which takes an integer from -128 to 127
}
