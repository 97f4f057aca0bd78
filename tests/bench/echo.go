package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/tests/measure"
)

// The rival of the socket: what a plain MessagePack-RPC in Go costs that knows
// one method, checks nothing and keeps nothing. Its messages have the bytes of
// ours.

const (
	echoMethod = "get"
	echoHandle = 1
)

// message is a connection of the rival.
type message struct {
	conn    *net.UnixConn
	decoder *msgpack.Decoder // buffers
	encoder *msgpack.Encoder
	out     bytes.Buffer
}

func newMessage(conn *net.UnixConn) *message {
	m := &message{conn: conn, decoder: msgpack.NewDecoder(conn)}
	m.encoder = msgpack.NewEncoder(&m.out)
	m.encoder.UseCompactInts(true)
	return m
}

// flush writes what was encoded.
func (m *message) flush() error {
	_, err := m.conn.Write(m.out.Bytes())
	m.out.Reset()
	return err
}

// take decodes what must be an array of n.
func (m *message) take(n int) error {
	got, err := m.decoder.DecodeArrayLen()
	if err == nil && got != n {
		err = fmt.Errorf("an array of %d instead of %d", got, n)
	}
	return err
}

// echoServer answers one connection until it ends. Its argument is the socket.
func echoServer(args []string) error {
	if len(args) != 1 {
		return errors.New("want SOCKET")
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	conn, err := listener.AcceptUnix()
	listener.Close()
	if err != nil {
		return err
	}
	m := newMessage(conn)
	for {
		if err := m.answer(); errors.Is(err, io.EOF) {
			return conn.Close()
		} else if err != nil {
			return err
		}
	}
}

// answer reads [0, id, method, [handle]] and answers [1, id, nil, value].
func (m *message) answer() error {
	if err := m.take(4); err != nil {
		return err
	}
	if _, err := m.decoder.DecodeInt64(); err != nil {
		return err
	}
	id, err := m.decoder.DecodeUint32()
	if err != nil {
		return err
	}
	if _, err := m.decoder.DecodeString(); err != nil {
		return err
	}
	if err := m.take(1); err != nil {
		return err
	}
	if _, err := m.decoder.DecodeUint64(); err != nil {
		return err
	}
	err = errors.Join(m.encoder.EncodeArrayLen(4), m.encoder.EncodeInt(1), m.encoder.EncodeUint(uint64(id)),
		m.encoder.EncodeNil(), m.encoder.EncodeInt(socketValue))
	if err != nil {
		return err
	}
	return m.flush()
}

// call makes one round trip.
func (m *message) call(id uint32) error {
	err := errors.Join(m.encoder.EncodeArrayLen(4), m.encoder.EncodeInt(0), m.encoder.EncodeUint(uint64(id)),
		m.encoder.EncodeString(echoMethod), m.encoder.EncodeArrayLen(1), m.encoder.EncodeInt(echoHandle))
	if err != nil {
		return err
	}
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.take(4); err != nil {
		return err
	}
	if _, err := m.decoder.DecodeInt64(); err != nil {
		return err
	}
	got, err := m.decoder.DecodeUint32()
	if err != nil {
		return err
	}
	if err := m.decoder.DecodeNil(); err != nil {
		return err
	}
	value, err := m.decoder.DecodeInt64()
	if err == nil && (got != id || value != socketValue) {
		err = fmt.Errorf("the answer to %d was %d, to %d", id, value, got)
	}
	return err
}

// startEcho runs the rival's server and connects to it.
func startEcho(ctx context.Context, socket string) (*measure.Child, *message, error) {
	server, err := startSelf(ctx, "echo", socket)
	if err != nil {
		return nil, nil, err
	}
	if err := server.Expect("ready"); err != nil {
		server.Kill()
		return nil, nil, err
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		server.Kill()
		return nil, nil, err
	}
	return server, newMessage(conn), nil
}
