package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
)

var update = flag.Bool("update", false, "rewrite the golden vectors")

// exchange is one entry of vectors/session.json. The session is that of a daemon
// that was just started; tests/protocol replays it.
type exchange struct {
	Name string `json:"name"`
	// Client is the connection, 1 or 2.
	Client int `json:"client"`
	// Request is "" where the client closes its connection.
	Request  string `json:"request"`
	Response string `json:"response"` // "" for a notification
	// Vary are the keys of maps in the response whose values depend on the
	// machine and the time. All other bytes are the same everywhere.
	Vary []string `json:"vary,omitempty"`
	Note string   `json:"note"`
}

// badMessage is one entry of vectors/bad.json.
type badMessage struct {
	Name   string `json:"name"`
	Hex    string `json:"hex"`
	Status string `json:"status"`
}

// broken is a message that a daemon must refuse.
type broken struct {
	name  string
	bytes []byte
	code  status.Code
}

var badRequests = []broken{
	{"no msgpack", []byte{0xc1}, status.BadFrame},
	{"no msgpack inside", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0x91, 0xc1}, status.BadFrame},
	{"not an array", []byte{0x07}, status.BadFrame},
	{"a map", []byte{0x80}, status.BadFrame},
	{"empty array", []byte{0x90}, status.BadFrame},
	{"request of 3", []byte{0x93, 0, 1, 0xa1, 'x'}, status.BadFrame},
	{"request of 5", []byte{0x95, 0, 1, 0xa1, 'x', 0x90, 0xc0}, status.BadFrame},
	{"notification of 4", []byte{0x94, 2, 0xa1, 'x', 0x90, 0xc0}, status.BadFrame},
	{"response to the daemon", []byte{0x94, 1, 1, 0xc0, 0xc0}, status.BadFrame},
	{"type 3", []byte{0x94, 3, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"type -1", []byte{0x94, 0xff, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"type is a float", []byte{0x94, 0xca, 0, 0, 0, 0, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id is negative", []byte{0x94, 0, 0xff, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id has 33 bits", []byte{0x94, 0, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id is a str", []byte{0x94, 0, 0xa1, '1', 0xa1, 'x', 0x90}, status.BadFrame},
	{"method is a bin", []byte{0x94, 0, 1, 0xc4, 1, 'x', 0x90}, status.BadFrame},
	{"method is nil", []byte{0x94, 0, 1, 0xc0, 0x90}, status.BadFrame},
	{"params are nil", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0xc0}, status.BadFrame},
	{"params are a map", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0x80}, status.BadFrame},
	{"17 levels", append([]byte{0x94, 0, 1, 0xa1, 'x'}, append(bytes.Repeat([]byte{0x91}, 16), 0xc0)...),
		status.BadFrame},
	{"array of 2^32-1", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"map of 2^32-1", []byte{0x94, 0, 1, 0xa1, 'x', 0x91, 0xdf, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"str of 1 MiB", []byte{0x94, 0, 1, 0xdb, 0, 0x10, 0, 0}, status.TooLarge},
	{"bin of 2^32-1", []byte{0x94, 0, 1, 0xa1, 'x', 0x91, 0xc6, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"many that do not fit together",
		[]byte{0x94, 0, 1, 0xa1, 'x', 0x92, 0xc6, 0, 0x0f, 0xff, 0xf5}, status.TooLarge},
}

// parseWhole does what a daemon does with arriving bytes.
func parseWhole(b []byte) (Request, error) {
	n, err := Scan(b)
	if err != nil {
		return Request{}, err
	}
	return ParseRequest(b[:n])
}

func TestVectorsOfBadMessages(t *testing.T) {
	var list []badMessage
	for _, bad := range badRequests {
		if _, err := parseWhole(bad.bytes); status.Of(err) != bad.code {
			t.Errorf("%s: %v, want %s", bad.name, err, bad.code.Name())
		}
		list = append(list, badMessage{bad.name, hex.EncodeToString(bad.bytes), bad.code.Name()})
	}
	golden(t, "bad.json", list)
}

func TestVectorsOfSession(t *testing.T) {
	list := session(t)
	answered, refused := map[string]bool{}, map[string]bool{}
	for _, e := range list {
		request, err1 := hex.DecodeString(e.Request)
		response, err2 := hex.DecodeString(e.Response)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if len(request) == 0 {
			continue
		}
		r, err := parseWhole(request)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if r.Notification {
			answered[r.Method], refused[r.Method] = true, true
			if e.Response != "" {
				t.Errorf("%s: a notification has no response", e.Name)
			}
			continue
		}
		a, err := ParseResponse(response)
		if err != nil || a.ID != r.ID {
			t.Errorf("%s: %+v, %v", e.Name, a, err)
		}
		if a.Err == nil {
			answered[r.Method] = true
		} else {
			refused[r.Method] = true
		}
	}
	answered[MethodSide] = true          // by tests/interop: it needs a reservation, which is made in memory
	answered[MethodWaitCondition] = true // by tests/protocol: it needs another client meanwhile
	for _, method := range append(Methods(), NotifyCancel) {
		if !answered[method] || !refused[method] {
			t.Errorf("%s: a vector with a result %v, one with an error %v", method, answered[method], refused[method])
		}
	}
	golden(t, "session.json", list)
}

// golden compares v with a file of vectors/, or writes it there.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("vectors", name)
	if *update {
		if err := os.MkdirAll("vectors", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the encoders write: if the change is meant, go test ./wire -update", path)
	}
}
