package crash

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// remote is an open object that is used over the socket alone.
type remote struct {
	client     *shmd.Client
	attachment wire.Attachment
}

func openSocket(c *shmd.Client, kind, name string) (thing, error) {
	r := &remote{client: c}
	err := c.Call(context.Background(), wire.MethodOpen, &r.attachment, name, wire.OpenOptions{Kind: &kind})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// call makes a call on the open object.
func (r *remote) call(method string, result any, params ...any) error {
	err := r.client.Call(context.Background(), method, result, append([]any{r.attachment.Handle}, params...)...)
	if os.Getenv(unknownVariable) != "" && (errors.Is(err, status.OutcomeUnknown) || errors.Is(err, status.Lost)) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return err
}

// unknownVariable makes a socket client die by its own hand when it does not know what
// became of a call: it is one more death in the middle of an operation.
const unknownVariable = "SHMD_CRASH_UNKNOWN"

func (r *remote) lock(timeout time.Duration) (n *wire.Notice, err error) {
	err = r.call(wire.MethodLock, &n, int64(timeout))
	return n, err
}

func (r *remote) unlock() error     { return r.call(wire.MethodUnlock, nil) }
func (r *remote) mark() error       { return r.call(wire.MethodMarkConsistent, nil) }
func (r *remote) beginWrite() error { return r.call(wire.MethodBeginWrite, nil) }
func (r *remote) endWrite() error   { return r.call(wire.MethodEndWrite, nil) }
func (r *remote) close() error      { return r.call(wire.MethodClose, nil) }
func (r *remote) length() int       { return int(r.attachment.Length) }

func (r *remote) get(i int) (v int64, err error) {
	err = r.call(wire.MethodGet, &v, i)
	return v, err
}

func (r *remote) set(i int, v int64) error { return r.call(wire.MethodSet, nil, i, v) }

func (r *remote) pair() (v [2]int64, dirty bool, err error) {
	var result wire.ReadResult
	if err := r.call(wire.MethodRead, &result, 0, 2); err != nil {
		return v, false, err
	}
	var values []int64
	if err := msgpack.Unmarshal(result.Values, &values); err != nil {
		return v, false, err
	}
	return [2]int64(values), result.Dirty, nil
}
