package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

const (
	fingerprint = 0x1234
	smallSize   = 64 << 10
)

// open makes a journal whose current file is kept by the returned function.
func open(t testing.TB) (*Journal, func() *os.File) {
	var current *os.File
	j, err := New(Options{Fingerprint: fingerprint, SizeMin: smallSize, Failed: func(err error) { t.Error(err) },
		Publish: func(f *os.File) error { current = f; return nil }}, NewState())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j, func() *os.File { return current }
}

// author makes up records that follow from each other.
type author struct {
	random *rand.Rand
	state  *State
}

func newAuthor(t testing.TB, seed uint64) *author {
	t.Logf("seed %d", seed)
	return &author{rand.New(rand.NewPCG(seed, 0)), NewState()}
}

// next is a record that the state takes.
func (a *author) next() Record {
	for {
		r := a.draft()
		if r != nil && a.state.Apply(r) == nil {
			return r
		}
	}
}

func (a *author) draft() Record {
	object, client := 1+a.random.Uint64N(a.state.Start.LastObject+2), 1+a.random.Uint64N(a.state.Start.LastClient+2)
	number := uint16(1 + a.random.IntN(4))
	switch op := a.random.IntN(len(makers)); op {
	case 1:
		return &Start{a.random.Uint32(), a.state.Start.LastObject, a.state.Start.LastClient}
	case 2:
		return &Client{ID: client, PID: a.random.Int32(), UID: a.random.Uint32(),
			Groups: []uint32{1, a.random.Uint32()}, UUID: [16]byte{byte(client)}, Software: "test"}
	case 3:
		return &ClientEnds{client, "died"}
	case 4:
		return &ClientGone{client}
	case 5:
		g := shm.Geometry{ID: object, Kind: shm.KindArray, Shape: []uint64{3, 4}, SeatsMax: 4}
		if a.random.IntN(3) == 0 {
			g.LockID = 1 + a.random.Uint64N(object)
		}
		return &Object{ID: object, Geometry: g, Name: fmt.Sprint("name/", a.random.IntN(9)), Mode: 0o600}
	case 6:
		return &Unlinked{object}
	case 7:
		return &Removed{object}
	case 8:
		return &Mode{object, a.random.Uint32N(0o1000)}
	case 9:
		return &ObjectGone{object}
	case 10:
		return &Seat{Object: object, Number: number, Client: client, Generation: a.random.Uint32()}
	case 11:
		return &SeatMapped{object, number}
	case 12:
		return &SeatGone{object, number}
	case 13:
		return &Handle{Client: client, Number: 1 + a.random.Uint64N(9), Object: object, Seat: number,
			ReadOnly: a.random.IntN(2) == 0}
	case 14:
		return &HandleGone{client, 1 + a.random.Uint64N(9)}
	case 15:
		return &Side{object, 1 + a.random.Uint32N(9), a.random.Uint32N(9), 4096}
	case 16:
		return &SideGone{object, 1 + a.random.Uint32N(9)}
	case 17:
		return &Owner{object, a.random.Uint32(), a.random.Uint32()}
	case 18:
		return &Ticket{Secret: [16]byte{byte(number)}, Object: object, UID: a.random.Uint32(), Deadline: time.Minute}
	case 19:
		return &TicketUsed{[16]byte{byte(number)}, client, 1 + a.random.Uint64N(9)}
	case 20:
		return &TicketGone{[16]byte{byte(number)}}
	}
	return nil
}

// text is what a state says.
func text(s *State) (all [][]byte) {
	e := newEncoder()
	for r := range s.Records {
		all = append(all, slices.Clone(e.payload(r)))
	}
	return all
}

// same compares what two states say.
func same(t testing.TB, got, want *State) {
	t.Helper()
	if !reflect.DeepEqual(text(got), text(want)) {
		t.Fatalf("the state is\n%+v, want\n%+v", got, want)
	}
}

// Thousands of records, over many compactions, say what they said.
func TestReplay(t *testing.T) {
	j, current := open(t)
	a := newAuthor(t, rand.Uint64())
	files := 0
	var last *os.File
	for range 20000 {
		j.Append(a.next())
		if f := current(); f != last {
			files, last = files+1, f
		}
	}
	if files < 3 {
		t.Errorf("%d files; the journal was not compacted", files)
	}
	state, err := Load(current(), fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	same(t, state, a.state)
	if info, err := current().Stat(); err != nil || info.Size() > 64*smallSize {
		t.Errorf("the journal has %d bytes: it is not bounded (%v)", info.Size(), err)
	}
}

// A daemon that dies between any two stores leaves what its records up to there say.
func TestCutAtEveryByte(t *testing.T) {
	a := newAuthor(t, rand.Uint64())
	j, current := open(t)
	var ends []int
	var states []*State
	for len(ends) < 60 {
		ends = append(ends, j.end)
		state, err := Load(current(), fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, state)
		j.Append(a.next())
	}
	whole := slices.Clone([]byte(j.mem))
	for i, end := range ends[:len(ends)-1] {
		// The payload is written byte by byte, the word at last.
		cut := slices.Clone(whole)
		clear(cut[end:])
		for at := end + wordSize; at < ends[i+1]; at++ {
			cut[at] = whole[at]
			state, stop, err := Replay(cut, fingerprint)
			if err != nil || stop != end {
				t.Fatalf("cut in record %d at byte %d: end %d, %v", i, at, stop, err)
			}
			same(t, state, states[i])
		}
	}
}

// A damaged byte is noticed, whichever it is.
func TestDamage(t *testing.T) {
	a := newAuthor(t, rand.Uint64())
	j, current := open(t)
	for range 40 {
		j.Append(a.next())
	}
	if _, err := Load(current(), fingerprint+1); !errors.Is(err, status.Version) {
		t.Errorf("a journal of another layout: %v", err)
	}
	format++
	if _, err := Load(current(), fingerprint); !errors.Is(err, status.Version) {
		t.Errorf("a journal of other records: %v", err)
	}
	format--
	// What pads a record is not covered, and means nothing.
	pads := make(map[int]bool)
	for at := headerSize; at < j.end; {
		payload, err := frame(j.mem, at)
		if err != nil {
			t.Fatal(err)
		}
		for pad := at + wordSize + len(payload); pad < at+frameSize(len(payload)); pad++ {
			pads[pad] = true
		}
		at += frameSize(len(payload))
	}
	for at := headerSize; at < j.end; at++ {
		damaged := slices.Clone([]byte(j.mem))
		damaged[at] ^= 1 << a.random.IntN(8)
		if _, _, err := Replay(damaged, fingerprint); !errors.Is(err, status.Corrupt) && !pads[at] {
			t.Fatalf("byte %d is damaged: %v", at, err)
		}
	}
}

// A journal that cannot be replaced says that it is not whole; and is again as soon as
// it can.
func TestNoMemory(t *testing.T) {
	var current *os.File
	var full error
	failures := 0
	j, err := New(Options{Fingerprint: fingerprint, SizeMin: smallSize, Failed: func(error) { failures++ },
		Publish: func(f *os.File) error {
			if full == nil {
				current = f
			}
			return full
		}}, NewState())
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, rand.Uint64())
	full = errors.New("no memory")
	for !j.lacks {
		j.Append(a.next())
	}
	for range 3 {
		j.Append(a.next())
	}
	if _, err := Load(current, fingerprint); !errors.Is(err, status.Corrupt) || failures != 1 {
		t.Fatalf("a journal that lacks records: %v, %d failures reported", err, failures)
	}
	full = nil
	j.Append(a.next())
	state, err := Load(current, fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	same(t, state, a.state)
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// A record that contradicts the others is a bug, after which nothing is believed.
func TestContradiction(t *testing.T) {
	var current *os.File
	failures := 0
	j, err := New(Options{Fingerprint: fingerprint, SizeMin: smallSize, Failed: func(error) { failures++ },
		Publish: func(f *os.File) error { current = f; return nil }}, NewState())
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, rand.Uint64())
	for range 10 {
		j.Append(a.next())
	}
	j.Append(&Client{})
	for range 10 {
		j.Append(a.next())
	}
	if _, err := Load(current, fingerprint); !errors.Is(err, status.Corrupt) || failures != 1 {
		t.Errorf("a journal that contradicts itself: %v, %d failures reported", err, failures)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// The state that a journal begins with stays the caller's, who restores from it while there
// are new records already.
func TestStateIsTheCallers(t *testing.T) {
	a := newAuthor(t, rand.Uint64())
	for range 200 {
		a.next()
	}
	kept := NewState()
	for r := range a.state.Records {
		if err := kept.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	j, err := New(Options{Fingerprint: fingerprint, Publish: func(*os.File) error { return nil },
		Failed: func(err error) { t.Error(err) }}, kept)
	if err != nil {
		t.Fatal(err)
	}
	before := text(kept)
	for range 200 {
		j.Append(a.next())
	}
	if !reflect.DeepEqual(text(kept), before) {
		t.Error("the caller's state has changed")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzReplay: whatever the memory holds, replay ends with a state that can be written,
// or with an error.
func FuzzReplay(f *testing.F) {
	j, _ := open(f)
	a := newAuthor(f, 1)
	for range 50 {
		j.Append(a.next())
	}
	f.Add(slices.Clone([]byte(j.mem[headerSize:j.end])), false)
	f.Add([]byte{1, 2, 3}, true)
	f.Fuzz(func(t *testing.T, records []byte, raw bool) {
		mem := make([]byte, headerSize, headerSize+len(records)+1024)
		copy(mem, j.mem[:headerSize])
		if raw {
			// Payloads with a right check sum, so that the decoder is reached.
			for _, payload := range bytes.SplitAfter(records, []byte{0xc1}) {
				if len(payload) > 0 {
					at := len(mem)
					mem = append(mem, make([]byte, frameSize(len(payload)))...)
					appendFrame(mem, at, payload)
				}
			}
		} else {
			mem = append(mem, records...)
		}
		state, _, err := Replay(mem, fingerprint)
		if err != nil {
			return
		}
		again := NewState()
		for r := range state.Records {
			if err := again.Apply(r); err != nil {
				t.Fatalf("a state that cannot be written: %v", err)
			}
		}
		same(t, again, state)
	})
}
