package adapter

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func parsed(t *testing.T, args ...string) *Row {
	t.Helper()
	row, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestParse(t *testing.T) {
	row := parsed(t, "oneway", "put", "name=a", "dir=d", "size=64", "batch=8", "index=3", "producers=4", "consumers=2",
		"verify=1", "touch=0", "wait=spin", "mode=x", "unknown=1")
	if row.Name != "a" || row.Dir != "d" || row.Mode != "x" || row.SizeBytes != 64 || row.Batch != 8 ||
		row.Index != 3 || row.Producers != 4 || row.Consumers != 2 || !row.Verify || row.Touch || !row.Spins ||
		row.Makes {
		t.Errorf("%+v", row)
	}
	for role, makes := range map[string]bool{"put": true, "take": false, "ping": true, "pong": false, "waiter": false} {
		if parsed(t, "w", role).Makes != makes {
			t.Errorf("%s: makes=%t", role, !makes)
		}
	}
	for _, bad := range []string{"size", "size=x", "size=-8", "size=12", "size=0", "batch=0", "consumers=0",
		"index=40000"} {
		if _, err := parse([]string{"oneway", "put", bad}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// Whatever is done to a message, or to the order of two, a Checker sees, with verify.
func TestMessages(t *testing.T) {
	for _, size := range []string{"8", "16", "24", "4096"} {
		for _, setting := range []string{"verify=1", "verify=0"} {
			put := parsed(t, "oneway", "put", "size="+size, setting, "index=2")
			take := parsed(t, "oneway", "take", "size="+size, setting, "producers=4")
			checker, writer := take.NewChecker(), put.NewWriter()
			message := put.NewMessage()
			for i := range uint64(3) {
				if err := checker.Check(put.Message(message, put.Number(2*i)), take.Expected(i)); err != nil {
					t.Fatal(size, setting, err)
				}
				writer.Fill(message, put.Number(2*i+1))
				if err := checker.Check(message, put.Number(2*i+1)); err != nil {
					t.Fatal(size, setting, err)
				}
			}
			if put.sum != take.sum || put.Verify != (put.sum != 0) {
				t.Errorf("size %s, %s: sums %d and %d", size, setting, put.sum, take.sum)
			}
			if checker.Check(message, put.Number(9)) == nil {
				t.Errorf("size %s, %s: another message is accepted", size, setting)
			}
			if checker.Check(message[:len(message)-1], Any) == nil {
				t.Errorf("size %s, %s: a short message is accepted", size, setting)
			}
			if put.Verify && checker.Check(message, Any) == nil {
				t.Errorf("size %s: a message is accepted twice", size)
			}
		}
	}
	row := parsed(t, "oneway", "take", "size=4096", "verify=1")
	for j := range 4096 / wordBytes {
		message := row.Message(row.NewMessage(), row.Number(7))
		message[j*wordBytes+5] ^= 1
		if err := row.NewChecker().Check(message, 7); err == nil {
			t.Fatalf("damage in word %d is not seen", j)
		}
	}
}

func TestSamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples")
	row := parsed(t, "value", "worker", "samples="+path)
	session := Turns(row, func(uint64) error { return nil }, nil)
	for _, count := range []uint64{3, 5} {
		if err := row.timed(session, count); err != nil {
			t.Fatal(err)
		}
		bytes, err := os.ReadFile(path)
		if err != nil || len(bytes) != 8*int(count) {
			t.Fatalf("%d bytes of %d samples, %v", len(bytes), count, err)
		}
		for ; len(bytes) > 0; bytes = bytes[8:] {
			if ns := binary.LittleEndian.Uint64(bytes); ns > 1e12 {
				t.Errorf("a sample of %d ns", ns)
			}
		}
	}
	if row.Done != 8 {
		t.Errorf("%d done", row.Done)
	}
}

func TestBatches(t *testing.T) {
	row := parsed(t, "oneway", "put", "batch=4")
	var calls []string
	session := Batches(row, func(first, count uint64) error {
		calls = append(calls, strings.Repeat("x", int(count)))
		return nil
	}, nil)
	if err := session.Run(10); err != nil || !slices.Equal(calls, []string{"xxxx", "xxxx", "xx"}) {
		t.Errorf("%q, %v", calls, err)
	}
}
