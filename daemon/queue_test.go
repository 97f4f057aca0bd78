package daemon

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
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

// A queue is shut down when the last handle of a role has gone, in whatever way.
func TestQueueRoles(t *testing.T) {
	ends := []struct {
		name string
		end  func(t *testing.T, s *Server, c *rawClient, handle uint64)
	}{
		{"close", func(t *testing.T, _ *Server, c *rawClient, h uint64) {
			wantCode(t, "close", c.call(nil, wire.MethodClose, h), status.OK)
		}},
		{"retire", func(t *testing.T, _ *Server, c *rawClient, h uint64) {
			wantCode(t, "retire", c.call(nil, wire.MethodRetire, h, wire.RoleProducer), status.OK)
			wantCode(t, "retire again", c.call(nil, wire.MethodRetire, h, wire.RoleProducer), status.NotOwner)
		}},
		{"death", func(t *testing.T, _ *Server, c *rawClient, _ uint64) { c.conn.Close() }},
	}
	for _, each := range ends {
		t.Run(each.name, func(t *testing.T) {
			s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
			a, b := greeted(t, s, 1), greeted(t, s, 2)
			consumer := a.open("q", wire.KindQueue, map[string]any{"content": "raw"})
			var first, second wire.Attachment
			for _, opened := range []*wire.Attachment{&first, &second} {
				err := b.call(opened, wire.MethodOpen, "q", map[string]any{"role": wire.RoleProducer})
				if err != nil || opened.Role != wire.RoleProducer {
					t.Fatal(err, opened.Role)
				}
			}
			wantCode(t, "no role", a.call(nil, wire.MethodClaim, consumer, wire.EndA), status.Invalid)
			wantCode(t, "claim", a.call(nil, wire.MethodClaim, consumer, wire.RoleConsumer), status.OK)
			wantCode(t, "put", b.call(nil, wire.MethodPut, first.Handle, []byte("last")), status.OK)
			wantCode(t, "close of one", b.call(nil, wire.MethodClose, second.Handle), status.OK)
			wantCode(t, "put after it", b.call(nil, wire.MethodPut, first.Handle, []byte("really")), status.OK)
			each.end(t, s, b, first.Handle)
			for range 2 {
				wantCode(t, "take", a.call(nil, wire.MethodTake, consumer), status.OK)
			}
			wantCode(t, "take of the end", a.call(nil, wire.MethodTake, consumer), status.Ended)
			wantCode(t, "put at the end", a.call(nil, wire.MethodPut, consumer, []byte("x")), status.Ended)
		})
	}
}
