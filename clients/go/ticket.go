package shmd

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// refPrefix begins what stands in place of a name, and is no name.
const refPrefix = "id:"

// Ticket keeps the object for a process that will open it: it stays until then, though
// everybody else closes it and this process ends, for at most the timeout; 0 = a minute, an
// hour at most. It is a text that the Open functions take in place of a name, once; whoever
// uses it needs the object's permission all the same. It is a secret for as long as it is good.
//
// An open with a ticket that was used, or that is too old, is ErrNotFound. What the daemon
// refuses does not use it. Errors: ErrQuota if this user has too many that are good, ErrInvalid for a
// timeout out of range, ErrPermission, ErrRemoved.
func (o *object) Ticket(ctx context.Context, timeout time.Duration) (string, error) {
	if timeout == 0 {
		timeout = wire.TicketTimeout
	}
	if err := o.usable(); err != nil {
		return "", named("ticket", o.info.Name, err)
	}
	var r wire.TicketResult
	if err := o.client.Call(ctx, wire.MethodTicket, &r, o.info.ID, int64(timeout)); err != nil {
		return "", named("ticket", o.info.Name, err)
	}
	return refPrefix + strconv.FormatUint(r.ID, 10) + ":" + hex.EncodeToString(r.Ticket), nil
}

// reference makes of the parameters of an open, name and options, what the daemon takes: the
// name may be id:N, and id:N:TICKET.
func reference(params []any) ([]any, error) {
	name, ok := params[0].(string)
	rest, byID := strings.CutPrefix(name, refPrefix)
	if !ok || !byID {
		return params, nil
	}
	number, ticket, ticketed := strings.Cut(rest, ":")
	id, err := strconv.ParseUint(number, 10, 64)
	o := params[1].(wire.OpenOptions)
	if err == nil && ticketed {
		o.Ticket, err = hex.DecodeString(ticket)
	}
	if err != nil || ticketed && len(o.Ticket) != wire.TicketSize { // without the text, which may be a secret
		return nil, status.New(status.BadName, "", "want a name, id:N, or a ticket as Ticket makes them")
	}
	return []any{id, o}, nil
}
