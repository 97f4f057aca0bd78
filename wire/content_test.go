package wire

import (
	"bytes"
	"testing"

	"github.com/shmd/shmd/status"
)

func TestValidateContent(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), mpNil) }
	for _, test := range []struct {
		what string
		b    []byte
		want status.Code
	}{
		{"nil", []byte{mpNil}, status.OK},
		{"a map", []byte{0x81, 0xa1, 'k', 1}, status.OK},
		{"as deep as may be", nested(ContentDepthMax), status.OK},
		{"deeper", nested(ContentDepthMax + 1), status.BadType},
		{"nothing", nil, status.BadType},
		{"cut off", []byte{0x92, 1}, status.BadType},
		{"two values", []byte{1, 2}, status.BadType},
		{"no msgpack", []byte{mpNever}, status.BadType},
		{"a long str that is not there", []byte{mpStr32, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	} {
		if got := status.Of(ValidateContent(test.b)); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got.Name(), test.want.Name())
		}
	}
	// In memory a message may be longer than on the wire.
	long := AppendBin(nil, make([]byte, 3*MessageMax))
	if err := ValidateContent(long); err != nil {
		t.Errorf("%d bytes: %v", len(long), err)
	}
	if err := ValidateContent(long[:len(long)-1]); status.Of(err) != status.TooLarge {
		t.Errorf("%d bytes cut off: %v", len(long), err)
	}
	var back []byte
	if err := Decode(long, &back); err != nil || len(back) != 3*MessageMax {
		t.Errorf("decoded %d bytes, %v", len(back), err)
	}
	if n, err := Scan(long); n != 0 || status.Of(err) != status.TooLarge {
		t.Errorf("on the wire: %d, %v", n, err)
	}
	// What is valid has room in the deepest answer that carries it.
	answer := AppendResultHeader(nil, 1)
	answer = append(AppendStr(AppendMapLen(answer, 1), "message"), nested(ContentDepthMax)...)
	if n, err := Scan(answer); n != len(answer) || err != nil {
		t.Errorf("an answer with the deepest message: %d of %d bytes, %v", n, len(answer), err)
	}
}
