// Command redis is the adapter of shmd-rivals for Redis over its Unix socket, by the client
// that people use, go-redis. The server is a process of its own, without persistence; all
// else is as its users do it:
//
//   - a queue is a list: LPUSH, and BRPOP or BLMPOP, which sleep; a batch is one call;
//   - a round trip is a pipeline of LPUSH and BRPOP at either end;
//   - a lock is SET NX PX with a token, and a script that deletes the key if it still has it.
//     Who finds it held tries again at once. It is a lease: after the death of its holder it
//     comes free when it expires, here after 8 s, as redsync has it;
//   - a semaphore is a list of tokens: BRPOP and LPUSH;
//   - a counter is INCR, a value SET and GET.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

const (
	leaseDuration = 8 * time.Second
	noTimeout     = -2 // of go-redis: does not even set a deadline
)

func main() {
	adapter.Main(describe, []adapter.Work{
		{Workload: "serve", Role: "server", Open: openServer},
		{Workload: "lock", Role: "worker", Open: openLock},
		{Workload: "semaphore", Role: "worker", Open: openSemaphore},
		{Workload: "counter", Role: "worker", Open: openCounter},
		{Workload: "value", Role: "worker", Open: openValue},
		{Workload: "roundtrip", Role: "ping", Open: openPing},
		{Workload: "roundtrip", Role: "pong", Open: openPong},
		{Workload: "oneway", Role: "put", Open: openPut},
		{Workload: "oneway", Role: "take", Open: openTake},
		{Workload: "attach", Role: "opener", Open: openOpener},
		{Workload: "recovery", Role: "owner", Open: openOwner, Own: true},
		{Workload: "recovery", Role: "waiter", Open: openWaiter, Own: true},
		{Workload: "idle", Role: "sleeper", Open: openSleeper, Own: true},
		{Workload: "memory", Role: "maker", Open: openMaker},
	})
}

func describe() (string, error) {
	version, err := serverVersion()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Redis %s over its Unix socket, a server without persistence; go-redis %s, one connection "+
		"each; a lock is a lease of %v", version, redis.Version(), leaseDuration), nil
}

// client is one process's connection.
type client struct {
	*adapter.Row
	*redis.Conn
	whole *redis.Client
	ctx   context.Context
}

func connect(row *adapter.Row) *client {
	whole := redis.NewClient(&redis.Options{
		Network: "unix", Addr: socketPath(row), Protocol: 2, PoolSize: 1, PipelinePoolSize: -1,
		ReadTimeout: noTimeout, WriteTimeout: noTimeout, MaxRetries: -1,
		ReadBufferSize: 128 << 10, WriteBufferSize: 128 << 10, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return &client{row, whole.Conn(), whole, context.Background()}
}

// open connects, where the way to wait is to sleep: the client has no other.
func open(row *adapter.Row) (*client, error) {
	if row.Spins {
		return nil, adapter.Unsupported("its client waits asleep only")
	}
	c := connect(row)
	return c, c.Ping(c.ctx).Err()
}

func (c *client) close() error { return errors.Join(c.Conn.Close(), c.whole.Close()) }

// key is a name of the row.
func (c *client) key(name string) string { return c.Name + ":" + name }

func socketPath(row *adapter.Row) string {
	if row.Socket != "" {
		return row.Socket
	}
	return filepath.Join(row.Dir, "redis.sock")
}

// --- lock, semaphore, counter, value ---------------------------------------

// unlockScript deletes the key if it still has the caller's token.
var unlockScript = redis.NewScript(
	`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// lease is a lock.
type lease struct {
	*client
	name  string
	token string
	keys  []string
}

func newLease(c *client) *lease {
	token := fmt.Sprintf("%s-%d", c.Role, c.Index)
	return &lease{c, c.key("lock"), token, []string{c.key("lock")}}
}

func (l *lease) lock() error {
	for {
		if held, err := l.SetNX(l.ctx, l.name, l.token, leaseDuration).Result(); held || err != nil {
			return err
		}
	}
}

func (l *lease) unlock() error {
	deleted, err := unlockScript.Run(l.ctx, l.Conn, l.keys, l.token).Int()
	if err == nil && deleted == 0 {
		err = errors.New("the lease expired before the unlock")
	}
	return err
}

func openLock(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	l := newLease(c)
	counter := 0
	return adapter.Turns(row, func(uint64) error {
		if err := l.lock(); err != nil {
			return err
		}
		counter++
		return l.unlock()
	}, c.close), nil
}

func openSemaphore(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	tokens := c.key("semaphore")
	if row.Makes {
		err = c.LPush(c.ctx, tokens, "token").Err()
	}
	return adapter.Turns(row, func(uint64) error {
		if err := c.BRPop(c.ctx, 0, tokens).Err(); err != nil {
			return err
		}
		return c.LPush(c.ctx, tokens, "token").Err()
	}, c.close), err
}

func openCounter(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	key := c.key("counter")
	return adapter.Batches(row, func(_, count uint64) error {
		if count == 1 {
			return c.Incr(c.ctx, key).Err()
		}
		_, err := c.Pipelined(c.ctx, func(calls redis.Pipeliner) error {
			for range count {
				calls.Incr(c.ctx, key)
			}
			return nil
		})
		return err
	}, c.close), nil
}

func openValue(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	key, value := c.key("value"+strconv.Itoa(row.Index)), make([]byte, 8)
	return adapter.Turns(row, func(i uint64) error {
		binary.LittleEndian.PutUint64(value, i)
		if err := c.Set(c.ctx, key, value, 0).Err(); err != nil {
			return err
		}
		got, err := c.Get(c.ctx, key).Bytes()
		if err == nil && (len(got) != 8 || binary.LittleEndian.Uint64(got) != i) {
			err = fmt.Errorf("read %x after %x was written", got, value)
		}
		return err
	}, c.close), nil
}

// --- messages ---------------------------------------------------------------

// popped is the message of a BRPOP, which answers key and value.
func popped(pop *redis.StringSliceCmd) ([]byte, error) {
	values, err := pop.Result()
	if err != nil {
		return nil, err
	}
	return bytesOf(values[1]), nil
}

func openPing(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	there, back := c.key("there"), c.key("back")
	message, checker := row.NewMessage(), row.NewChecker()
	return adapter.Turns(row, func(i uint64) error {
		calls := c.Pipeline()
		calls.LPush(c.ctx, there, row.Message(message, i))
		pop := calls.BRPop(c.ctx, 0, back)
		if _, err := calls.Exec(c.ctx); err != nil {
			return err
		}
		got, err := popped(pop)
		if err != nil {
			return err
		}
		return checker.Check(got, i)
	}, c.close), nil
}

func openPong(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	return &pong{client: c, message: row.NewMessage(), checker: row.NewChecker()}, nil
}

// pong answers a message and waits for the next one in one pipeline.
type pong struct {
	*client
	message []byte
	checker *adapter.Checker
}

func (p *pong) Run(count uint64) error {
	there, back := p.key("there"), p.key("back")
	pop := p.BRPop(p.ctx, 0, there)
	for i := p.Done; i < p.Done+count; i++ {
		got, err := popped(pop)
		if err != nil {
			return err
		}
		if err := p.checker.Check(got, i); err != nil {
			return err
		}
		calls := p.Pipeline()
		calls.LPush(p.ctx, back, p.Message(p.message, i))
		if i+1 < p.Done+count {
			pop = calls.BRPop(p.ctx, 0, there)
		}
		if _, err := calls.Exec(p.ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *pong) Close() error { return p.close() }

func openPut(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	queue := c.key("queue")
	messages := make([]any, row.Batch)
	for i := range messages {
		messages[i] = row.NewMessage()
	}
	return adapter.Batches(row, func(first, count uint64) error {
		for i := range count {
			row.Message(messages[i].([]byte), row.Number(first+i))
		}
		return c.LPush(c.ctx, queue, messages[:count]...).Err()
	}, c.close), nil
}

func openTake(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	queue, checker := c.key("queue"), row.NewChecker()
	take := &take{client: c, checker: checker}
	if row.Batch > 1 {
		take.call = func(want uint64) ([]string, error) {
			_, messages, err := c.BLMPop(c.ctx, 0, "right", int64(want), queue).Result()
			return messages, err
		}
	} else {
		take.call = func(uint64) ([]string, error) {
			values, err := c.BRPop(c.ctx, 0, queue).Result()
			if err != nil {
				return nil, err
			}
			return values[1:], nil
		}
	}
	return take, nil
}

// take is a consumer, whose calls return as many messages as there are, up to a batch.
type take struct {
	*client
	checker *adapter.Checker
	call    func(want uint64) (messages []string, err error)
}

func (t *take) Run(count uint64) error {
	for i, end := t.Done, t.Done+count; i < end; {
		messages, err := t.call(min(t.Batch, end-i))
		if err != nil {
			return err
		}
		for _, message := range messages {
			if err := t.checker.Check(bytesOf(message), t.Expected(i)); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

func (t *take) Close() error { return t.close() }

// --- attach, recovery, idle, memory ------------------------------------------

// openOpener connects and disconnects; a connection is made by its first call.
func openOpener(row *adapter.Row) (adapter.Session, error) {
	return adapter.Turns(row, func(uint64) error {
		c := connect(row)
		return errors.Join(c.Ping(c.ctx).Err(), c.close())
	}, nil), nil
}

// holder is the owner or the waiter of `recovery`.
type holder struct {
	*lease
	isOwner bool
}

func openOwner(row *adapter.Row) (adapter.Session, error) { return openHolder(row, true) }

func openWaiter(row *adapter.Row) (adapter.Session, error) { return openHolder(row, false) }

func openHolder(row *adapter.Row, isOwner bool) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	return &holder{newLease(c), isOwner}, nil
}

func (h *holder) Run(uint64) error {
	if !h.isOwner {
		if err := adapter.Say("waiting"); err != nil {
			return err
		}
	}
	if err := h.lock(); err != nil {
		return err
	}
	if h.isOwner {
		return adapter.Say("held")
	}
	return adapter.Say("done %d", adapter.NowNS())
}

func (h *holder) Close() error { return h.close() }

// sleeper waits for what nobody puts.
type sleeper struct{ *client }

func openSleeper(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	return sleeper{c}, err
}

func (s sleeper) Run(uint64) error {
	if err := adapter.Say("waiting"); err != nil {
		return err
	}
	return s.BRPop(s.ctx, 0, s.key("queue")).Err()
}

func (s sleeper) Close() error { return nil } // its connection is in use

func openMaker(row *adapter.Row) (adapter.Session, error) {
	c, err := open(row)
	if err != nil {
		return nil, err
	}
	value := make([]byte, 8)
	return adapter.Turns(row, func(i uint64) error {
		return c.Set(c.ctx, c.key("value"+strconv.FormatUint(i, 10)), value, 0).Err()
	}, c.close), nil
}
