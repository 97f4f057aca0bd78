package shmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

func batchQueue(t *testing.T, o shmd.QueueOptions) *shmd.Queue {
	t.Helper()
	q, err := shmd.CreateQueue(t.Context(), dial(t, start(t, daemon.Config{})), "q", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func numbered(from, n int) (all [][]byte) {
	for i := range n {
		all = append(all, []byte(fmt.Sprint(from+i)))
	}
	return all
}

// Everything goes through, in order, in batches; a join ends with the last.
func TestQueueBatches(t *testing.T) {
	q := batchQueue(t, shmd.QueueOptions{Raw: true, MaxSize: 10})
	ctx := t.Context()
	const total = 1000
	failed := make(chan error)
	go func() {
		for all := numbered(0, total); len(all) > 0; {
			n, err := q.PutMany(ctx, all[:min(len(all), 10)])
			if err != nil {
				failed <- err
				return
			}
			all = all[n:]
		}
		failed <- nil
	}()
	next := 0
	take := func(all [][]byte, err error) {
		t.Helper()
		for _, m := range all {
			if string(m) != fmt.Sprint(next) {
				t.Fatalf("took %q, want %d", m, next)
			}
			next++
		}
		if err != nil || len(all) == 0 {
			t.Fatalf("took %d messages, %v", len(all), err)
		}
	}
	for next < total/4 {
		take(q.TakeMany(ctx, nil, 7))
	}
	var taken [][]byte
	space := []byte("kept")
	for next < total/2 {
		var err error
		taken, space, err = q.TakeManyAppend(ctx, taken[:0], space[:4], 7)
		take(taken, err)
		if !bytes.Equal(space, slices.Concat([]byte("kept"), slices.Concat(taken...))) {
			t.Fatalf("%q lie in %q", taken, space)
		}
	}
	for next < total {
		leases, err := q.LeaseMany(ctx, nil, 5)
		var all [][]byte
		for _, l := range leases {
			all = append(all, l.Message())
		}
		take(all, err)
		if n, err := q.AckMany(leases); n != len(leases) || err != nil {
			t.Fatalf("acknowledged %d of %d, %v", n, len(leases), err)
		}
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if err := q.Join(ctx); err != nil {
		t.Error(err)
	}
	taken, err := q.TryTakeMany(taken[:1], 1)
	if len(taken) != 1 {
		t.Errorf("taking nothing left %d messages of 1", len(taken))
	}
	wantError(t, "nothing to take", err, shmd.ErrWouldBlock)
	_, err = q.TryLeaseMany(nil, 1)
	wantError(t, "nothing to lease", err, shmd.ErrWouldBlock)
	if n, err := q.TryPutMany(numbered(0, 10)); n != 10 || err != nil {
		t.Errorf("put %d of 10, %v", n, err)
	}
	_, err = q.TryPutMany(numbered(0, 1))
	wantError(t, "full", err, shmd.ErrWouldBlock)
	wantError(t, "join of a full queue", q.TryJoin(), shmd.ErrWouldBlock)
	short, cancel := context.WithTimeout(ctx, time.Microsecond)
	defer cancel()
	wantError(t, "a short join", q.Join(short), shmd.ErrTimedOut)
	for _, n := range []int{0, 11} {
		_, err = q.PutMany(ctx, numbered(0, n))
		wantError(t, fmt.Sprint(n, " messages"), err, shmd.ErrInvalid)
	}
	taken, space, err = q.TryTakeManyAppend(taken[:1], space[:4], 64)
	if len(taken) != 11 || string(space) != "kept0123456789" || err != nil {
		t.Errorf("%q lie in %q, %v", taken, space, err)
	}
	taken, space, err = q.TryTakeManyAppend(taken, space, 64)
	if len(taken) != 11 || len(space) != 14 {
		t.Errorf("taking nothing left %q in %q", taken, space)
	}
	wantError(t, "nothing to take", err, shmd.ErrWouldBlock)
}

// A batch ends before what is no message of the queue.
func TestQueueBatchOfValues(t *testing.T) {
	q := batchQueue(t, shmd.QueueOptions{})
	n, err := q.TryPutMany([][]byte{{1}, {2}, {0xc1}, {3}})
	if n != 2 || err != nil {
		t.Errorf("put %d, %v", n, err)
	}
	n, err = q.TryPutMany([][]byte{{0xc1}, {3}})
	if n != 0 {
		t.Errorf("put %d", n)
	}
	wantError(t, "no value", err, shmd.ErrBadType)
	other := batchQueue(t, shmd.QueueOptions{})
	leases, err := q.TryLeaseMany(nil, 9)
	if err != nil || len(leases) != 2 {
		t.Fatal(len(leases), err)
	}
	_, err = other.AckMany(leases)
	wantError(t, "leases of another queue", err, shmd.ErrInvalid)
	_, err = q.AckMany([]*shmd.Lease{leases[0], nil})
	wantError(t, "no lease", err, shmd.ErrInvalid)
	if n, err := q.NackMany(leases); n != 2 || err != nil {
		t.Errorf("gave back %d, %v", n, err)
	}
	n, err = q.AckMany(leases)
	if n != 0 {
		t.Errorf("acknowledged %d", n)
	}
	wantError(t, "no leases any more", err, shmd.ErrNotOwner)
}

// A range over the messages ends with the queue; what it does not come to is not lost.
func TestQueueMessages(t *testing.T) {
	q := batchQueue(t, shmd.QueueOptions{Raw: true})
	ctx := t.Context()
	if n, err := q.PutMany(ctx, numbered(0, 20)); n != 20 || err != nil {
		t.Fatal(n, err)
	}
	next := 0
	read := func(until int) {
		t.Helper()
		for m, err := range q.Messages(ctx) {
			if err != nil || string(m) != fmt.Sprint(next) {
				t.Fatalf("got %q, %v, want %d", m, err, next)
			}
			if next++; next == until {
				break
			}
		}
	}
	read(5)
	if n, err := q.Counts(); err != nil || n.Ready != 15 || n.Leased != 0 {
		t.Errorf("after 5 of 20: %+v, %v", n, err)
	}
	if err := q.Shutdown(); err != nil {
		t.Fatal(err)
	}
	read(-1)
	if next != 20 {
		t.Errorf("%d of 20 messages", next)
	}
	q = batchQueue(t, shmd.QueueOptions{Raw: true})
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	var ends []error
	for _, err := range q.Messages(cancelled) {
		ends = append(ends, err)
	}
	if len(ends) != 1 || !errors.Is(ends[0], shmd.ErrCancelled) || errors.Is(ends[0], io.EOF) {
		t.Errorf("a range that is cancelled ends with %v", ends)
	}
}

// A lease that takes too long comes back to who waits; one that is extended does not.
func TestQueueLeaseTime(t *testing.T) {
	q := batchQueue(t, shmd.QueueOptions{Raw: true, LeaseTime: 2 * time.Millisecond})
	ctx := t.Context()
	if err := q.Put(ctx, []byte("a")); err != nil {
		t.Fatal(err)
	}
	first, err := q.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	again, err := q.Lease(ctx)
	if err != nil || again.Deliveries() != 2 {
		t.Fatal(again, err)
	}
	wantError(t, "ack of what is over", first.Ack(), shmd.ErrNotOwner)
	wantError(t, "extend of what is over", first.Extend(time.Hour), shmd.ErrNotOwner)
	if err := again.Extend(time.Hour); err != nil && !errors.Is(err, shmd.ErrNotOwner) {
		t.Error(err)
	}
	wantError(t, "a negative time", again.Extend(-1), shmd.ErrInvalid)
	endless := batchQueue(t, shmd.QueueOptions{Raw: true})
	if err := endless.Put(ctx, nil); err != nil {
		t.Fatal(err)
	}
	l, err := endless.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "extend without lease times", l.Extend(time.Hour), shmd.ErrUnsupported)
	_, err = shmd.CreateQueue(ctx, dial(t, start(t, daemon.Config{})), "q", shmd.QueueOptions{LeaseTime: -1})
	wantError(t, "a queue of negative lease times", err, shmd.ErrInvalid)
}
