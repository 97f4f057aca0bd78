package shm

import (
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

// Whoever announces himself between a Post or a Fetch and its Settle may have judged the word
// before: Settle wakes him, and the commit after it does.
func TestRingSettleWakes(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*RingWriter, *RingReader) (*ringSide, uint32, bool)
	}{
		{"Post", func(w *RingWriter, _ *RingReader) (*ringSide, uint32, bool) {
			attention, ok := w.Post([]byte("c"))
			return &w.ringSide, attention, ok
		}},
		{"Fetch", func(_ *RingWriter, r *RingReader) (*ringSide, uint32, bool) {
			_, attention, what := r.Fetch(nil, false)
			return &r.ringSide, attention, what == FetchedOne
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t)
			w, r := s.producer(t, 1), s.consumer(t, 2)
			w.send(t, "a", "b")
			r.recv(t, "a") // now both are calm
			side, attention, ok := c.act(w, r)
			if !ok {
				t.Fatal("refused without a reason")
			}
			var sleeper thread
			word, awake := futexWord32(&side.own.Word), make(chan wakeup)
			sleep := func() {
				add32(&side.own.Attention, 1)
				sleeper.bind()
				awake <- futexWait(word, load32(word), 0, futexAnyBit)
			}
			go sleep()
			await(func() bool { return sleeper.asleepOn(t, word) })
			side.Settle(attention)
			if got := <-awake; got != woken {
				t.Fatalf("the sleeper ended with %v", got)
			}
			if _, _, ok := c.act(w, r); ok {
				t.Error("it goes on without a look at who sleeps")
			}
		})
	}
}

// Post and Fetch leave to Send and Recv what is not quite ordinary, and change nothing.
func TestRingPostRefuses(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	posts := func(what string, message []byte) {
		t.Helper()
		if _, ok := w.Post(message); ok {
			t.Errorf("%s: it was posted", what)
		}
	}
	fetches := func(what string, want Fetched) {
		t.Helper()
		if _, _, got := r.Fetch(nil, false); got != want {
			t.Errorf("%s: fetched %v, want %v", what, got, want)
		}
	}
	posts("before the first look", []byte("a"))
	fetches("before the first look", FetchedNone)
	whole := strings.Repeat("a", 56) // with its header a part of the ring
	w.send(t, whole)
	r.recv(t, whole)
	fetches("nothing there", FetchedEmpty)
	posts("too long", make([]byte, w.ring.whole+1))
	if _, err := w.Reserve(background, nil, 8, 0); err != nil {
		t.Fatal(err)
	}
	posts("while something is reserved", []byte("b"))
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	w.fillUp(t)
	posts("full", make([]byte, 56))
	r.ring.drain(r)
	w.Close()
	posts("after the end", []byte("c"))
	r.refuses(t, status.Ended)
}
