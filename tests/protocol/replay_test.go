package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// exchange is an entry of session.json, badMessage one of bad.json;
// wire/vectors_test.go describes and writes both.
type exchange struct {
	Name, Request, Response, Note string
	Client                        int
	Vary                          []string
}

type badMessage struct{ Name, Hex, Status string }

// load reads a file of vectors.
func load[T any](t *testing.T, name string) (list []T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "wire", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return list
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withDescriptor are the vectors with whose answers a descriptor comes along.
var withDescriptor = map[string]bool{"map": true, "map_side": true, "open by id": true, "create of an array": true}

// The session, exchange by exchange, with a daemon that was just started.
func TestSession(t *testing.T) {
	d := harness.StartDaemon(t)
	clients, descriptors := map[int]*peer{}, 0
	for _, e := range load[exchange](t, "session.json") {
		c := clients[e.Client]
		if c == nil {
			c = dial(t, d.Socket)
			clients[e.Client] = c
		}
		if e.Request == "" {
			c.conn.Close()
			continue
		}
		c.send(unhex(t, e.Request))
		if e.Response == "" {
			continue
		}
		want, got := unhex(t, e.Response), c.receive()
		if err := same(want, got, e.Vary); err != nil {
			t.Errorf("%s: %v\n got %s\nwant %s", e.Name, err, show(got), show(want))
		}
		if withDescriptor[e.Name] {
			descriptors++
		}
		if c.fds != descriptors && e.Client == 1 {
			t.Fatalf("%s: %d descriptors came so far, want %d", e.Name, c.fds, descriptors)
		}
	}
	if rest := clients[1].receive(); rest != nil {
		t.Errorf("after bye comes %s", show(rest))
	}
	if descriptors != len(withDescriptor) {
		t.Errorf("%d descriptors came in all", descriptors)
	}
}

// Each message that must be refused is, with its status, and ends the connection:
// before hello and after.
func TestBadMessages(t *testing.T) {
	d := harness.StartDaemon(t)
	hello := unhex(t, load[exchange](t, "session.json")[1].Request)
	witness := d.Dial(t)
	for _, bad := range load[badMessage](t, "bad.json") {
		for _, first := range [][]byte{nil, hello} {
			c := dial(t, d.Socket)
			c.send(first)
			if first != nil {
				if a, err := wire.ParseResponse(c.receive()); err != nil || a.Err != nil {
					t.Fatalf("hello: %v %v", a.Err, err)
				}
			}
			c.send(unhex(t, bad.Hex))
			answer := c.receive()
			if answer == nil {
				t.Errorf("%s: closed without an answer", bad.Name)
				continue
			}
			a, err := wire.ParseResponse(answer)
			if err != nil || a.Err == nil || a.Err.Code.Name() != bad.Status {
				t.Errorf("%s: answered %s (%v), want %s", bad.Name, show(answer), err, bad.Status)
			}
			if rest := c.receive(); rest != nil {
				t.Errorf("%s: the connection goes on with %s", bad.Name, show(rest))
			}
			if err := witness.Call(t.Context(), wire.MethodPing, nil); err != nil {
				t.Fatalf("after %s: %v (%s)", bad.Name, err, status.Of(err).Name())
			}
		}
	}
}
