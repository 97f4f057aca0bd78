package crash

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestRestartRelaysTickets kills the daemon wherever it is while two clients pass an object to
// each other, which nothing but a ticket keeps in between: neither notices, and each ticket
// is used once.
func TestRestartRelaysTickets(t *testing.T) {
	for _, point := range []string{"append", "appended"} {
		for count := 1; count <= 6; count++ { // the records of a round: ticket, used, seat and handle, and their ends
			t.Run(fmt.Sprint(point, " ", count), func(t *testing.T) {
				s := newSceneWith(t, harness.DaemonOptions{Program: harness.Program(t, "shmd-crash"),
					Env: []string{fmt.Sprintf("SHMD_FAIL=@%s:%d", point, count)}})
				var clients [2]*shmd.Client
				for i := range clients {
					var err error
					if clients[i], err = shmd.Dial(t.Context(), shmd.Options{Socket: s.Socket}); err != nil {
						t.Fatal(err)
					}
				}
				v, err := shmd.CreateValue(t.Context(), clients[0], "", int64(0), shmd.ValueOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var restarted atomic.Bool
				done := make(chan error)
				go func() { done <- relayTickets(t.Context(), v, clients, &restarted) }()
				s.Signal(syscall.SIGUSR1)
				<-s.Done()
				s.restarted(harness.DaemonOptions{})
				restarted.Store(true)
				if err := <-done; err != nil {
					t.Error(err)
				}
				for _, c := range clients {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// relayTickets passes a value on, until it has done so some times after the restart.
func relayTickets(ctx context.Context, v *shmd.Value[int64], clients [2]*shmd.Client, restarted *atomic.Bool) error {
	for n, more := int64(0), 4; more > 0; n++ {
		if restarted.Load() {
			more--
		}
		if x, err := v.Add(1); err != nil || x != n {
			return fmt.Errorf("after %d rounds the value is %d, %v", n, x, err)
		}
		ticket, err := v.Ticket(ctx, 0)
		if err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		if err := v.Close(); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		receiver := clients[(n+1)%2]
		if v, err = shmd.OpenValue[int64](ctx, receiver, ticket); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		if again, twice := shmd.OpenValue[int64](ctx, receiver, ticket); !errors.Is(twice, shmd.ErrNotFound) {
			return fmt.Errorf("round %d: the ticket is used twice: %v, %v", n, again, twice)
		}
	}
	// Else a ticket that nobody heard of keeps it for a minute.
	return errors.Join(clients[0].Call(ctx, wire.MethodDestroy, nil, v.ID()), v.Close())
}
