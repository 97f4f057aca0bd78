// Command nats is the adapter of shmd-rivals for NATS, with the server that programs embed,
// in a process of its own, and the Go client, over the loop-back: it has no Unix sockets.
// There are two systems:
//
//   - core, the default, which keeps nothing: publish and subscribe with a queue group, in
//     which the server picks the consumer of each message, and requests. It drops what a
//     slow consumer leaves for too long, hence large bounds, which are never to be met;
//   - mode=js, JetStream in memory: a stream is a work queue, of which one consumer that all
//     processes share is pulled; messages are acknowledged. A call that puts one message
//     waits until it is stored, one that puts several does not. A counter is a subject of a
//     stream of counters, a value a key of a bucket.
//
// Neither has locks or semaphores.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

func main() {
	adapter.Main(describe, []adapter.Work{
		{Workload: "serve", Role: "server", Open: openServer},
		{Workload: "lock", Role: "worker", Open: openLock},
		{Workload: "semaphore", Role: "worker", Open: openLock},
		{Workload: "recovery", Role: "owner", Open: openLock, Own: true},
		{Workload: "recovery", Role: "waiter", Open: openLock, Own: true},
		{Workload: "counter", Role: "worker", Open: either(nil, openCounter)},
		{Workload: "value", Role: "worker", Open: either(nil, openValue)},
		{Workload: "roundtrip", Role: "ping", Open: either(openPing, openStreamPing)},
		{Workload: "roundtrip", Role: "pong", Open: either(openPong, openStreamPong)},
		{Workload: "oneway", Role: "put", Open: either(openPut, openStreamPut)},
		{Workload: "oneway", Role: "take", Open: either(openTake, openStreamTake)},
		{Workload: "attach", Role: "opener", Open: either(openOpener, openOpener)},
		{Workload: "idle", Role: "sleeper", Open: either(openSleeper, openStreamSleeper), Own: true},
		{Workload: "memory", Role: "maker", Open: either(openMaker, openStreamMaker)},
	})
}

func describe() (string, error) {
	clientVersion := "?"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/nats-io/nats.go" {
				clientVersion = module.Version
			}
		}
	}
	return fmt.Sprintf("NATS %s, embedded, over the loop-back; nats.go %s; core, or JetStream in memory",
		server.VERSION, clientVersion), nil
}

func openLock(*adapter.Row) (adapter.Session, error) {
	return nil, adapter.Unsupported("NATS has no locks or semaphores")
}

// link is one process's connection, and how the row calls things.
type link struct {
	*adapter.Row
	*nats.Conn
	name string // with nothing in it that a name of a stream must not have
}

type opener func(*link) (adapter.Session, error)

// either opens with core, nil if that has no such thing, or with JetStream.
func either(core, stream opener) func(*adapter.Row) (adapter.Session, error) {
	return func(row *adapter.Row) (adapter.Session, error) {
		if row.Spins {
			return nil, adapter.Unsupported("its client waits asleep only")
		}
		open := core
		switch row.Mode {
		case "":
		case "js":
			open = stream
		default:
			return nil, fmt.Errorf("there is no mode %q", row.Mode)
		}
		if open == nil {
			return nil, adapter.Unsupported("core NATS keeps no values")
		}
		l, err := connect(row)
		if err != nil {
			return nil, err
		}
		return open(l)
	}
}

func connect(row *adapter.Row) (*link, error) {
	address, err := os.ReadFile(addressPath(row))
	if err != nil {
		return nil, fmt.Errorf("no server has said where it is: %w", err)
	}
	conn, err := nats.Connect(string(address), nats.NoReconnect(), nats.ErrorHandler(lost))
	if err != nil {
		return nil, err
	}
	name := strings.NewReplacer(".", "_", "/", "_", " ", "_", "*", "_", ">", "_").Replace(row.Name)
	return &link{row, conn, name}, nil
}

// lost is told of messages that were dropped, and of a connection that was.
func lost(_ *nats.Conn, _ *nats.Subscription, err error) {
	adapter.Fail(fmt.Errorf("messages may be lost: %w", err))
}

func (l *link) close() error {
	l.Conn.Close()
	return nil
}

// subject is one of the row.
func (l *link) subject(name string) string { return l.name + "." + name }

func addressPath(row *adapter.Row) string { return filepath.Join(row.Dir, "nats.address") }

// openOpener connects and disconnects.
func openOpener(l *link) (adapter.Session, error) {
	return adapter.Turns(l.Row, func(uint64) error {
		one, err := connect(l.Row)
		if err != nil {
			return err
		}
		return one.close()
	}, l.close), nil
}
