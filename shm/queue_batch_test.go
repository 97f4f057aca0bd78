package shm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

func messages(texts ...string) (all [][]byte) {
	for _, m := range texts {
		all = append(all, []byte(m))
	}
	return all
}

func putMany(t testing.TB, q *Queue, seat uint16, texts ...string) int {
	t.Helper()
	n, err := q.PutMany(background, nil, actor(seat), messages(texts...), 0)
	if err != nil {
		t.Fatalf("put %d messages: %v", len(texts), err)
	}
	return n
}

func takeMany(t testing.TB, q *Queue, seat uint16, most int) string {
	t.Helper()
	all, err := q.TakeMany(background, nil, actor(seat), nil, most, 0)
	if err != nil {
		t.Fatalf("take %d messages: %v", most, err)
	}
	return fmt.Sprintf("%.5q", all)
}

func leaseMany(t testing.TB, q *Queue, seat uint16, most int) []Lease {
	t.Helper()
	all, err := q.LeaseMany(background, nil, actor(seat), nil, most, 0)
	if err != nil {
		t.Fatalf("lease %d messages: %v", most, err)
	}
	return all
}

// What is there goes, in order, up to what was asked; a batch never waits for more.
func TestQueueBatchTakesWhatIsThere(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	for range 3 { // round the ring
		if n := putMany(t, q, 1, "a", "b", "c"); n != 3 {
			t.Errorf("put %d of 3", n)
		}
		if n := putMany(t, q, 1, "d", "e", "f"); n != 1 {
			t.Errorf("put %d where one fitted", n)
		}
		if n, err := q.PutMany(background, nil, actor(1), messages("g"), 0); n != 0 || err != status.WouldBlock {
			t.Errorf("put into a full queue: %d, %v", n, err)
		}
		if got := takeMany(t, q, 2, 2); got != `["a" "b"]` {
			t.Errorf("took %s", got)
		}
		if got := takeMany(t, q, 2, 9); got != `["c" "d"]` {
			t.Errorf("then took %s", got)
		}
		if all, err := q.TakeMany(background, nil, actor(2), messages("kept"), 2, 0); len(all) != 1 ||
			err != status.WouldBlock {
			t.Errorf("take from an empty queue: %q, %v", all, err)
		}
		if err := checkDerived(q); err != nil {
			t.Error(err)
		}
	}
	putMany(t, q, 1, "a")
	all, err := q.TakeMany(background, nil, actor(2), messages("kept"), 2, 0)
	if err != nil || fmt.Sprintf("%s", all) != "[kept a]" {
		t.Errorf("appended: %s, %v", all, err)
	}
	if err := q.Shutdown(background, nil, actor(1), 0); err != nil {
		t.Fatal(err)
	}
	_, put := q.PutMany(background, nil, actor(1), messages("a"), -1)
	_, take := q.TakeMany(background, nil, actor(1), nil, 1, -1)
	_, lease := q.LeaseMany(background, nil, actor(1), nil, 1, -1)
	if put != status.Ended || take != status.Ended || lease != status.Ended {
		t.Errorf("after shutdown: %v, %v, %v", put, take, lease)
	}
}

// One latch hold is short: 64 messages, 16 KiB of copying, and a long message alone.
func TestQueueBatchIsBounded(t *testing.T) {
	q, _ := newSideQueue(t, 200, 600, 5000)
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint(i))
	}
	if n := putMany(t, q, 1, many...); n != BatchMax {
		t.Errorf("put %d of 100 in one hold", n)
	}
	if got := leaseMany(t, q, 2, 100); len(got) != BatchMax {
		t.Errorf("leased %d of 64", len(got))
	} else if n, err := q.NackMany(background, nil, actor(2), got, 0); n != BatchMax || err != nil {
		t.Errorf("gave back %d of 64, %v", n, err)
	}
	if got := strings.Count(takeMany(t, q, 2, 100), " ") + 1; got != BatchMax {
		t.Errorf("took %d of 64", got)
	}
	full := strings.Repeat("x", copyMax)
	var large []string
	for range 40 {
		large = append(large, full)
	}
	for _, space := range [][]byte{nil, make([]byte, 0, 2*BatchSizeMax)} {
		if n := putMany(t, q, 1, large...); n != BatchSizeMax/copyMax {
			t.Errorf("put %d messages of %d bytes in one hold", n, copyMax)
		}
		putMany(t, q, 1, large[:8]...)
		all, _, err := q.TakeManyAppend(background, nil, actor(2), nil, space, 64, 0)
		if len(all) != BatchSizeMax/copyMax || err != nil {
			t.Errorf("took %d messages of %d bytes in one hold, %v", len(all), copyMax, err)
		}
		takeMany(t, q, 2, 64)
	}

	long, side := strings.Repeat("l", copyMax+1), strings.Repeat("s", 5000)
	mixed := []string{"a", long, "b", side, "c"}
	for _, want := range []int{1, 1, 1, 1, 1} {
		if n := putMany(t, q, 1, mixed...); n != want {
			t.Errorf("put %d of %.5q", n, mixed)
		}
		mixed = mixed[1:]
	}
	for _, want := range []string{`["a"]`, `["lllll"]`, `["b"]`, `["sssss"]`, `["c"]`} {
		if got := takeMany(t, q, 2, 9); got != want {
			t.Errorf("took %s, want %s", got, want)
		}
	}
	for _, m := range []string{"a", long, side, "b"} {
		putMany(t, q, 1, m)
	}
	for i, want := range []int{2, 1, 1} {
		leases := leaseMany(t, q, 2, 9)
		if len(leases) != want || i == 1 && string(q.Message(leases[0])) != side {
			t.Errorf("leased %d messages, want %d", len(leases), want)
		}
	}
}

func TestQueueBatchMisuse(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	invalid := func(what string, n int, err error, words ...string) {
		t.Helper()
		if n != 0 || !errors.Is(err, status.Invalid) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
		for _, word := range words {
			if !strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("%s: %v does not say %q", what, err, word)
			}
		}
	}
	n, err := q.PutMany(background, nil, actor(1), nil, -1)
	invalid("no messages", n, err, "0 messages")
	n, err = q.PutMany(background, nil, actor(1), messages("a", "b", "c"), -1)
	invalid("more than the queue holds", n, err, "3 messages", "2 (maxsize)")
	taken, err := q.TakeMany(background, nil, actor(1), nil, 0, -1)
	invalid("take none", len(taken), err, "at most 0")
	leases, err := q.LeaseMany(background, nil, actor(1), nil, -1, -1)
	invalid("lease none", len(leases), err, "at most -1")
	n, err = q.AckMany(background, nil, actor(1), nil, -1)
	invalid("ack none", n, err)
	n, err = q.NackMany(background, nil, actor(1), nil, -1)
	invalid("nack none", n, err)

	tooLong := strings.Repeat("x", 17)
	if n := putMany(t, q, 1, "a", tooLong); n != 1 {
		t.Errorf("put %d before one that is too long", n)
	}
	if n, err := q.PutMany(background, nil, actor(1), messages(tooLong, "b"), 0); n != 0 || !errors.Is(err,
		status.TooLarge) {
		t.Errorf("one that is too long first: %d, %v", n, err)
	}
	if n, err := q.PutMany(background, nil, actor(0), messages("b"), 0); n != 0 || !errors.Is(err, status.Invalid) {
		t.Errorf("without a seat: %d, %v", n, err)
	}
}

// Acknowledging several stops at the first that the client does not have.
func TestQueueBatchEnds(t *testing.T) {
	q := newQueue(t, 100, 16, 2)
	a := actor(1)
	for name, end := range map[string]func([]Lease) (int, error){
		"ack":  func(l []Lease) (int, error) { return q.AckMany(background, nil, a, l, 0) },
		"nack": func(l []Lease) (int, error) { return q.NackMany(background, nil, a, l, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			putMany(t, q, 1, "a", "b", "c", "d")
			mine := leaseMany(t, q, 1, 2)
			theirs := leaseMany(t, q, 2, 1)
			mine = append(append(mine, theirs...), leaseMany(t, q, 1, 1)...)
			if n, err := end(mine); n != 2 || !errors.Is(err, status.NotOwner) ||
				!strings.Contains(fmt.Sprint(err), fmt.Sprint("message ", theirs[0].Seq)) {
				t.Errorf("ended %d, %v", n, err)
			}
			want := QueueCounts{Leased: 2, Free: 98}
			if name == "nack" {
				want = QueueCounts{Leased: 2, Ready: 2, Free: 96}
			}
			if c := counts(t, q); c != want {
				t.Errorf("%+v", c)
			}
			if err := checkDerived(q); err != nil {
				t.Error(err)
			}
			if n, err := end(mine[3:]); n != 1 || err != nil {
				t.Errorf("the rest: %d, %v", n, err)
			}
			if _, err := q.AckMany(background, nil, actor(2), theirs, 0); err != nil {
				t.Error(err)
			}
			if name == "nack" {
				if got := takeMany(t, q, 1, 9); got != `["a" "b" "d"]` {
					t.Errorf("back came %s", got)
				}
			}
		})
	}
	for range 100 { // more than one hold
		put(t, q, 1, "m")
	}
	var all []Lease
	for len(all) < 100 {
		all = append(all, leaseMany(t, q, 1, 100)...)
	}
	for range 2 { // and repeated
		if n, err := q.AckMany(background, nil, a, all, 0); n != 100 || err != nil {
			t.Errorf("acknowledged %d of 100, %v", n, err)
		}
	}
	if c := counts(t, q); c != (QueueCounts{Free: 100}) {
		t.Errorf("%+v", c)
	}
}

// The messages of one call are next to each other, whoever else puts.
func TestQueueBatchIsTogether(t *testing.T) {
	q := newQueue(t, 12, 16, 0)
	p := NewParker(ParkerOptions{})
	const producers, rounds, size = 3, 300, 4
	failed := make(chan error, producers)
	for i := range producers {
		q := q.seg.Queue()
		go func() {
			for r := range rounds {
				batch := make([][]byte, size)
				for j := range batch {
					batch[j] = []byte{byte(i), byte(r), byte(r >> 8), byte(j)}
				}
				for len(batch) > 0 {
					n, err := q.PutMany(background, p, actor(uint16(1+i)), batch, -1)
					if err != nil {
						failed <- err
						return
					}
					batch = batch[n:]
				}
			}
			failed <- nil
		}()
	}
	var all [][]byte
	for len(all) < producers*rounds*size {
		before := len(all)
		var err error
		if all, err = q.TakeMany(background, p, actor(9), all, 5, -1); err != nil {
			t.Fatal(err)
		}
		if len(all) == before {
			t.Fatal("nothing, and no error")
		}
	}
	var next [producers]int
	for _, m := range all {
		who, round, part := int(m[0]), int(m[1])|int(m[2])<<8, int(m[3])
		if round*size+part != next[who] {
			t.Fatalf("message %d of batch %d of producer %d, want number %d", part, round, who, next[who])
		}
		next[who]++
	}
	for range producers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// k messages wake k of those who sleep, and no more: short-lived waiters are no herd.
func TestQueueBatchWakesAsManyAsItPuts(t *testing.T) {
	q := newQueue(t, 8, 16, 0)
	p := NewParker(ParkerOptions{})
	const sleepers = 6
	ended := make(chan error, sleepers)
	for range sleepers {
		go func() {
			_, err := q.seg.Queue().Take(background, p, actor(2), nil, -1)
			ended <- err
		}()
	}
	await(func() bool { return q.seg.Waiting(2) == sleepers })
	left := uint32(sleepers) // who was about to sleep may have taken what another was woken for
	for _, k := range []int{1, 3, 2} {
		left -= uint32(k)
		if n := putMany(t, q, 1, []string{"a", "b", "c"}[:k]...); n != k {
			t.Fatalf("put %d of %d", n, k)
		}
		for range k {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		await(func() bool { return q.seg.Waiting(2) == left })
		if c := counts(t, q); c.Ready != 0 {
			t.Errorf("left: %+v", c)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("one more has ended: %v", err)
	default:
	}
}

// Whoever waits for a slot or for a message is woken by batches as by single calls, and
// a batch that is cut short by its timeout has done nothing.
func TestQueueBatchWaits(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	p := NewParker(ParkerOptions{})
	if _, err := q.TakeMany(background, p, actor(1), nil, 2, time.Microsecond); err != status.TimedOut {
		t.Errorf("nothing to take: %v", err)
	}
	got := make(chan string)
	go func() {
		all, err := q.seg.Queue().TakeMany(background, p, actor(2), nil, 5, -1)
		got <- fmt.Sprintf("%s %v", all, err)
	}()
	await(func() bool { return q.seg.Waiting(2) == 1 })
	putMany(t, q, 1, "a", "b")
	if s := <-got; s != "[a b] <nil>" && s != "[a] <nil>" {
		t.Error(s)
	}
	for q.Put(background, nil, actor(1), nil, 0) == nil {
	}
	if n, err := q.PutMany(background, p, actor(1), messages("x"), time.Microsecond); n != 0 || err != status.TimedOut {
		t.Errorf("no slot: %d, %v", n, err)
	}
	go func() {
		n, err := q.seg.Queue().PutMany(background, p, actor(2), messages("c", "d"), -1)
		got <- fmt.Sprint(n, err)
	}()
	await(func() bool { return q.seg.Waiting(2) == 1 })
	leases := leaseMany(t, q, 1, 2)
	if n, err := q.AckMany(background, nil, actor(1), leases, 0); n != 2 || err != nil {
		t.Errorf("acknowledged %d, %v", n, err)
	}
	if s := <-got; s != "2 <nil>" {
		t.Error(s)
	}
}
