package shmd

import (
	"context"

	"github.com/shmd/shmd/wire"
)

// QueueRole says what a handle on a queue is for. It holds nobody back: any number of handles
// may have each role, and one may have both.
type QueueRole string

// The roles in a queue.
const (
	QueueProducer QueueRole = wire.RoleProducer
	QueueConsumer QueueRole = wire.RoleConsumer
)

// OpenQueueAs is OpenQueue and Claim in one, so that a ticket holds the end of the queue up
// until the role is there. Errors also: ErrInvalid (no role).
func OpenQueueAs(ctx context.Context, c *Client, name string, role QueueRole) (*Queue, error) {
	return c.openQueue(ctx, "open queue", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindQueue), Role: new(string(role))})
}

// Claim says what this handle is for. Once a role has been had, and the last handle that has
// it is closed, gives it up by Retire, or dies with its process, Shutdown happens by itself:
// so consumers learn that no producer is left, and producers that nobody takes. While a
// ticket for the queue is good, nothing ends. It asks the daemon, and may be repeated.
// Errors: ErrInvalid (no role), ErrRemoved, ErrClosed, ErrLost.
func (q *Queue) Claim(ctx context.Context, role QueueRole) error {
	return wrap("claim a role in", q.info.Name, q.tell(ctx, wire.MethodClaim, role))
}

// Retire gives up what Claim or OpenQueueAs took. Errors: ErrNotOwner if this handle has the
// role not, and those of Claim.
func (q *Queue) Retire(ctx context.Context, role QueueRole) error {
	return wrap("retire from a role in", q.info.Name, q.tell(ctx, wire.MethodRetire, role))
}

func (q *Queue) tell(ctx context.Context, method string, role QueueRole) error {
	if err := q.usable(); err != nil {
		return err
	}
	return q.client.Call(ctx, method, nil, q.info.Handle, string(role))
}
