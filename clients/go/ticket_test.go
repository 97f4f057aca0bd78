package shmd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// A ticket stands in place of a name, once, and keeps what its maker has left.
func TestTicket(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, creator, receiver := t.Context(), dial(t, s), dial(t, s)
	v, err := shmd.CreateValue(ctx, creator, "", int32(42), shmd.ValueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := v.Ticket(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeObject(t, v)
	if _, err := v.Ticket(ctx, 0); err == nil {
		t.Error("a closed handle makes a ticket")
	}
	_, err = shmd.OpenMutex(ctx, receiver, ticket)
	wantError(t, "open as another kind", err, shmd.ErrKindMismatch)
	w, err := shmd.OpenValue[int32](ctx, receiver, ticket)
	if err != nil {
		t.Fatal(err)
	}
	defer closeObject(t, w)
	if x, err := w.Load(); x != 42 || err != nil {
		t.Errorf("it is %d, %v", x, err)
	}
	_, err = shmd.OpenValue[int32](ctx, receiver, ticket)
	wantError(t, "open twice", err, shmd.ErrNotFound)
	id, secret := cut(ticket)
	if strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
	again, err := shmd.OpenValue[int32](ctx, receiver, id) // by its number, while it is there
	if err != nil {
		t.Fatal(err)
	}
	closeObject(t, again)
	if ticket, err = w.Ticket(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	_, err = shmd.OpenValue[float64](ctx, receiver, ticket)
	wantError(t, "open as another type", err, shmd.ErrTypeMismatch)
	if _, secret = cut(ticket); strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
	for _, timeout := range []time.Duration{-1, time.Hour + 1} {
		_, err = w.Ticket(ctx, timeout)
		wantError(t, timeout.String(), err, shmd.ErrInvalid)
	}
	for _, malformed := range []string{"id:", "id:x", "id:1:", "id:1:x", "id:1:00", "id:1:" + secret + "00"} {
		_, err := shmd.OpenValue[int32](ctx, receiver, malformed)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("open of %q: %v", malformed, err)
		}
	}
}

// cut is how a ticket's object is called, and the secret.
func cut(ticket string) (id, secret string) {
	at := strings.LastIndex(ticket, ":")
	return ticket[:at], ticket[at+1:]
}
