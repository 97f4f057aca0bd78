package main

import (
	"errors"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

const (
	payloadMaxBytes = 8 << 20 // the largest message, and its headers
	pendingMaxBytes = 2 << 30 // unread by one client, before it counts as lost
	streamMaxBytes  = 4 << 30
	serverTimeout   = 20 * time.Second
)

// embedded is the server, in this process.
type embedded struct {
	*server.Server
}

func openServer(row *adapter.Row) (adapter.Session, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		MaxPayload: payloadMaxBytes, MaxPending: pendingMaxBytes, WriteDeadline: time.Minute,
		JetStream: row.Mode == "js", JetStreamMaxMemory: streamMaxBytes, StoreDir: row.Dir,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(serverTimeout) {
		return nil, errors.New("the server does not come up")
	}
	row.Pids = []int{os.Getpid()}
	return embedded{s}, os.WriteFile(addressPath(row), []byte(s.ClientURL()), 0o600)
}

func (embedded) Run(uint64) error { return errors.New("a server does nothing by itself") }

func (e embedded) Close() error {
	e.Shutdown()
	e.WaitForShutdown()
	return nil
}
