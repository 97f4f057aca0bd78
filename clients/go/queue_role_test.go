package shmd_test

import (
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// The queue is shut down when the last of a role gives it up, closes, or goes with its client.
func TestQueueRoles(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	ends := map[string]func(q *shmd.Queue, other *shmd.Client) error{
		"retires": func(q *shmd.Queue, _ *shmd.Client) error { return q.Retire(ctx, shmd.QueueProducer) },
		"closes":  func(q *shmd.Queue, _ *shmd.Client) error { return q.Close() },
		"goes":    func(_ *shmd.Queue, other *shmd.Client) error { return other.Close() },
	}
	for name, end := range ends {
		q, err := shmd.CreateQueue(ctx, c, name, shmd.QueueOptions{Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		other := dial(t, s)
		producer, err := shmd.OpenQueueAs(ctx, other, name, shmd.QueueProducer)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := q.Claim(ctx, shmd.QueueProducer); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Retire(ctx, shmd.QueueProducer); err != nil {
			t.Fatal(err)
		}
		wantError(t, "retire twice", q.Retire(ctx, shmd.QueueProducer), shmd.ErrNotOwner)
		wantError(t, "retire what was never claimed", q.Retire(ctx, shmd.QueueConsumer), shmd.ErrNotOwner)
		wantError(t, "no role", q.Claim(ctx, "both"), shmd.ErrInvalid)
		if err := producer.Put(ctx, []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := end(producer, other); err != nil {
			t.Fatal(err)
		}
		if message, err := q.Take(ctx); err != nil || string(message) != "last" {
			t.Errorf("%s: takes %q, %v", name, message, err)
		}
		if message, err := q.Take(ctx); err == nil {
			t.Errorf("%s: takes %q when nobody produces", name, message)
		} else {
			wantError(t, name, err, shmd.ErrEnded)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		wantError(t, "claim through what is closed", q.Claim(ctx, shmd.QueueProducer), shmd.ErrClosed)
	}
	if _, err := shmd.OpenQueueAs(ctx, c, "retires", "both"); err == nil {
		t.Error("it opens in no role")
	} else {
		wantError(t, "open in no role", err, shmd.ErrInvalid)
	}
}
