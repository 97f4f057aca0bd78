package fuzz

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

var update = flag.Bool("update", false, "write the corpus anew")

const corpus = "testdata/answers"

// stateOffset is where the state of an object lies, in its header.
const stateOffset = 0xc0

// input is one of target/answers.c.
func input(kind shm.Kind, pages byte, answers []byte, words ...uint64) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{byte(kind), pages}, uint16(len(answers)))
	b = append(b, answers...)
	for i := 0; i < len(words); i += 2 {
		b = binary.LittleEndian.AppendUint16(b, uint16(words[i]/4))
		b = binary.LittleEndian.AppendUint64(b, words[i+1])
	}
	return b
}

func answer(t *testing.T, b []byte, id uint32, result any) []byte {
	t.Helper()
	b, err := wire.AppendEncoded(wire.AppendResultHeader(b, id), result)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// attachment is what a daemon says of an object of a geometry.
func attachment(g *shm.Geometry, lock string) *wire.Attachment {
	a := &wire.Attachment{Handle: 1, Access: wire.AccessReadWrite, Seat: 1, Owner: shm.OwnerWord(1, 1),
		DataOffset: g.DataOffset, DataSize: g.DataSize, SeatsOffset: g.SeatsOffset}
	a.Info = wire.Info{ID: 7, Name: "x", Kind: g.Kind.String(), Shape: g.Shape, Length: g.Length, ItemSize: g.ItemSize,
		Lock: lock, SeatsMax: g.SeatsMax, Mode: 0o600, Lifetime: wire.LifetimePersistent, SegmentSize: g.SegmentSize}
	if g.Code != 0 {
		a.Code = g.Code.String()
	}
	switch g.Kind {
	case shm.KindSemaphore:
		a.Maximum, a.Flags = g.Maximum, []string{wire.FlagUndo}
	case shm.KindBarrier:
		a.Parties = uint32(g.Length)
	case shm.KindStream, shm.KindPipe:
		a.Capacity, a.MessageMax = uint32(g.Capacity), g.MessageMax
	case shm.KindQueue:
		a.MaxSize, a.SlotSize, a.MessageMax, a.Content = uint32(g.Length), g.SlotSize, g.MessageMax, wire.ContentRaw
	}
	return a
}

// seeds are the inputs of the corpus, by file name: for each kind an object that can be
// opened, and used, and what a daemon says otherwise.
func seeds(t *testing.T) map[string][]byte {
	all := map[string][]byte{}
	add := func(g shm.Geometry, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		lock := ""
		if g.Kind.HasData() {
			lock = wire.LockOwn
		}
		b := answer(t, nil, 1, attachment(&g, lock))
		b = answer(t, b, 2, &wire.MapResult{Size: g.SegmentSize, Fds: 1})
		for id := range uint32(4) {
			b = answer(t, b, 3+id, nil)
		}
		all[g.Kind.String()] = input(g.Kind, byte(g.SegmentSize/shm.PageSize), b, stateOffset, uint64(shm.StateLive))
	}
	add(shm.NewGeometry(shm.KindValue, 'q', nil, 0, 4))
	add(shm.NewGeometry(shm.KindArray, 'i', []uint64{16}, 0, 4))
	add(shm.NewGeometry(shm.KindMutex, 0, nil, 0, 4))
	add(shm.NewSemaphoreGeometry(1, 3, shm.FlagUndo, 4))
	add(shm.NewQueueGeometry(4, 64, 64, 0, shm.FlagRaw, 4))
	add(shm.NewEventGeometry(false, 0, 4))
	add(shm.NewBarrierGeometry(1, 4))
	add(shm.NewRWLockGeometry(4))
	add(shm.NewStreamGeometry(shm.RingCapacityMin, 100, 4))
	add(shm.NewPipeGeometry(shm.RingCapacityMin, 100, 0, 4))

	g, err := shm.NewConditionGeometry(4)
	if err != nil {
		t.Fatal(err)
	}
	a := attachment(&g, wire.LockForeign)
	a.LockID, a.LockHandle, a.LockOwner = 8, new(uint64(2)), new(shm.OwnerWord(1, 1))
	b := answer(t, nil, 1, a)
	mapped := &wire.MapResult{Size: g.SegmentSize, Fds: 1}
	b = answer(t, b, 2, mapped)
	b = answer(t, b, 3, &wire.Info{ID: 8, Kind: wire.KindMutex, SeatsMax: 4, SegmentSize: g.SegmentSize})
	b = answer(t, b, 4, mapped)
	all["condition"] = input(g.Kind, byte(g.SegmentSize/shm.PageSize), b, stateOffset, uint64(shm.StateLive))

	refusal := wire.AppendError(nil, 1, status.New(status.NotFound, "open", "there is none").On("x"))
	all["refusal"] = input(shm.KindMutex, 0, refusal)
	farewell := wire.AppendError(nil, 0, status.New(status.Quota, "", "go away"))
	all["farewell"] = input(shm.KindMutex, 0, farewell)
	hello := answer(t, answer(t, nil, 1, nil), 2, nil)
	hello = answer(t, hello, 3, &wire.HelloResult{Version: 1, ABIVersion: 1, ABICompat: 1, ABIFingerprint: 1})
	all["hello"] = input(0, 0, hello)
	return all
}

// The corpus is what seeds says, and what fuzzers have found beside it.
func TestCorpus(t *testing.T) {
	for name, want := range seeds(t) {
		path := filepath.Join(corpus, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, or other bytes: go test ./tests/fuzz -update", name, err)
		}
	}
}

// Whatever a daemon answers, and whatever is in memory, the C library keeps to what is its
// own, and each call returns.
func TestAnswers(t *testing.T) {
	if emulator := harness.Emulator(); emulator != "" {
		t.Skip("no sanitizers under " + emulator)
	}
	sources, err := filepath.Glob(filepath.Join("..", "..", "clients", "c", "*.c"))
	if err != nil {
		t.Fatal(err)
	}
	targets, err := filepath.Glob("target/*.c")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "replay")
	flags, err := exec.Command("sh", "-c", "for p in msgpack msgpack-c msgpackc; do "+
		"pkg-config --cflags --libs $p 2>/dev/null && exit; done; exit 1").Output()
	if err != nil {
		t.Fatal("msgpack for C is not installed: run scripts/setup.sh build")
	}
	cc := strings.Fields(os.Getenv("SHMD_CC"))
	if len(cc) == 0 {
		cc = []string{"cc"}
	}
	args := append(cc[1:], "-std=gnu11", "-O1", "-g", "-pthread", "-I../../include", "-fsanitize=address,undefined",
		"-fno-sanitize-recover=all", "-o", program)
	args = append(append(append(args, targets...), sources...), strings.Fields(string(flags))...)
	if text, err := exec.Command(cc[0], args...).CombinedOutput(); err != nil {
		if strings.Contains(string(text), "asan") {
			t.Skipf("no sanitizers: %s", text)
		}
		t.Fatalf("%v: %s", err, text)
	}
	files, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	run := func(rounds int, seed uint64) string {
		t.Helper()
		arguments := append([]string{strconv.Itoa(rounds), fmt.Sprint(seed)}, files...)
		c := exec.CommandContext(t.Context(), program, arguments...)
		text, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("SHMD_SEED=%d: %v\n%s", seed, err, text)
		}
		return string(text)
	}
	opened := 0
	if text := run(0, 0); strings.Contains(text, "opened") {
		_, _ = fmt.Sscanf(text, "%d objects", &opened)
	}
	if opened < 11 {
		t.Errorf("of the corpus %d objects could be opened: the answers lead nowhere", opened)
	}
	seed := rand.Uint64()
	if text := os.Getenv("SHMD_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SHMD_SEED=%d", seed)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	run(rounds, seed)
}
