package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/wire"
)

// show is a message as text, for people.
func show(message []byte) string {
	var v any
	if err := msgpack.Unmarshal(message, &v); err != nil {
		return fmt.Sprintf("% x (%v)", message, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v)
	}
	return string(text)
}

// same compares two messages byte for byte, but for the values of the keys vary
// in maps, which need only be of the same sort and in their shortest form.
func same(want, got []byte, vary []string) error {
	c := comparison{want, got, vary}
	if err := c.value(""); err != nil {
		return err
	}
	if len(c.want) > 0 || len(c.got) > 0 {
		return fmt.Errorf("%d and %d bytes are left", len(c.want), len(c.got))
	}
	return nil
}

// comparison walks over two messages at once.
type comparison struct {
	want, got []byte
	vary      []string
}

// value compares one value; path says where it stands.
func (c *comparison) value(path string) error {
	elements, header := container(c.want)
	if header == 0 {
		return c.bytes(path)
	}
	isMap := c.want[0]&0xf0 == 0x80 || c.want[0] == 0xde
	if len(c.got) < header || !bytes.Equal(c.want[:header], c.got[:header]) {
		return fmt.Errorf("%s: other elements", path)
	}
	c.want, c.got = c.want[header:], c.got[header:]
	for i := range elements {
		inside := fmt.Sprintf("%s/%d", path, i)
		if isMap {
			var key string
			if err := msgpack.Unmarshal(c.want, &key); err != nil {
				return err
			}
			inside = path + "/" + key
			if err := c.bytes(inside); err != nil {
				return fmt.Errorf("key %w", err)
			}
			if slices.Contains(c.vary, key) {
				if err := c.sort(inside); err != nil {
					return err
				}
				continue
			}
		}
		if err := c.value(inside); err != nil {
			return err
		}
	}
	return nil
}

// bytes compares one value that must be the same.
func (c *comparison) bytes(path string) error {
	want, got, err := c.next()
	if err != nil || !bytes.Equal(want, got) {
		return fmt.Errorf("%s: % x, want % x (%v)", path, got, want, err)
	}
	return nil
}

// sort compares the sort of one value.
func (c *comparison) sort(path string) error {
	want, got, err := c.next()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var w, g any
	if err := msgpack.Unmarshal(want, &w); err != nil {
		return err
	}
	if err := msgpack.Unmarshal(got, &g); err != nil {
		return err
	}
	shortest, err := wire.Encode(g)
	_, wantText := w.(string)
	_, gotText := g.(string)
	if err != nil || wantText != gotText || !bytes.Equal(shortest, got) {
		return fmt.Errorf("%s: % x, want something like % x (%v)", path, got, want, err)
	}
	return nil
}

// next takes one value of each.
func (c *comparison) next() (want, got []byte, err error) {
	n, err1 := wire.Scan(c.want)
	m, err2 := wire.Scan(c.got)
	if err1 != nil || err2 != nil || n == 0 || m == 0 {
		return nil, nil, fmt.Errorf("cut off: %v, %v", err1, err2)
	}
	want, got = c.want[:n], c.got[:m]
	c.want, c.got = c.want[n:], c.got[m:]
	return want, got, nil
}

// container is the number of elements of an array or pairs of a map, and the
// length of its header; 0 for anything else.
func container(b []byte) (elements, header int) {
	switch {
	case len(b) == 0:
		return 0, 0
	case b[0]&0xf0 == 0x80, b[0]&0xf0 == 0x90:
		return int(b[0] & 0x0f), 1
	case (b[0] == 0xdc || b[0] == 0xde) && len(b) >= 3:
		return int(binary.BigEndian.Uint16(b[1:])), 3
	}
	return 0, 0
}

func TestSameSeesDifferences(t *testing.T) {
	encode := func(v any) []byte {
		b, err := wire.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := encode([]any{1, map[string]any{"pid": 7}, "x"})
	for _, test := range []struct {
		got  []byte
		same bool
	}{
		{want, true},
		{encode([]any{1, map[string]any{"pid": 70000}, "x"}), true},
		{encode([]any{1, map[string]any{"pid": "7"}, "x"}), false},
		{encode([]any{1, map[string]any{"uid": 7}, "x"}), false},
		{encode([]any{2, map[string]any{"pid": 7}, "x"}), false},
		{encode([]any{1, map[string]any{"pid": 7}, "y"}), false},
		{encode([]any{1, map[string]any{"pid": 7}}), false},
		{append(slices.Clone(want), 0), false},
		{want[:len(want)-1], false},
		{bytes.Replace(want, []byte{'p', 'i', 'd', 7}, []byte{'p', 'i', 'd', 0xcc, 7}, 1), false},
		{nil, false},
	} {
		if err := same(want, test.got, []string{"pid"}); (err == nil) != test.same {
			t.Errorf("% x: %v", test.got, err)
		}
	}
}
