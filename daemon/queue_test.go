package daemon

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/wire"
)

// What a waiting call takes is its own: the read loop of its connection goes on taking
// short messages meanwhile.
func TestTakesOfOneConnection(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := newRawClient(t, s), newRawClient(t, s)
	var handles [2][2]uint64 // of a, and of b
	for i, c := range []*rawClient{a, b} {
		if err := c.hello(byte(i + 1)); err != nil {
			t.Fatal(err)
		}
		for j, name := range []string{"awaited", "own"} {
			var opened wire.Attachment
			err := c.call(&opened, wire.MethodOpenOrCreate, name, wire.KindQueue, map[string]any{"content": "raw"})
			if err != nil {
				t.Fatal(err)
			}
			handles[i][j] = opened.Handle
		}
	}
	awaited, own := handles[0][0], handles[0][1]
	turns := 500
	if testing.Short() {
		turns = 100
	}
	for turn := range turns {
		late, early := fmt.Appendf(nil, "late %d", turn), fmt.Appendf(nil, "early %d", turn)
		want := map[uint32][]byte{a.send(wire.MethodTake, awaited): late}
		b.send(wire.MethodPut, handles[1][0], late)
		want[a.send(wire.MethodPut, own, early)] = nil
		want[a.send(wire.MethodTake, own)] = early
		for range 3 {
			r, err := a.receive()
			if err != nil || r.Err != nil {
				t.Fatal(err, r.Err)
			}
			var got []byte
			if message := want[r.ID]; message != nil {
				if err := wire.Decode(r.Result, &got); err != nil || !bytes.Equal(got, message) {
					t.Fatalf("turn %d: %q, %v; want %q", turn, got, err, message)
				}
			}
		}
		if r, err := b.receive(); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
}
