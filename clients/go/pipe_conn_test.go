package shmd_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// conns are the two ends of a new pipe of bytes, of two clients.
func conns(t *testing.T, s *daemon.Server) (a, b net.Conn, stop func()) {
	t.Helper()
	var ends [2]net.Conn
	name := ""
	var pipes [2]*shmd.Pipe
	for i := range ends {
		pipe, err := shmd.OpenOrCreatePipe(t.Context(), dial(t, s), "conn", shmd.PipeOptions{Bytes: true,
			CapacityBytes: 4096})
		if err != nil {
			t.Fatal(err)
		}
		pipes[i], name = pipe, pipe.Name()
		end, err := pipe.End(t.Context(), shmd.End(i))
		if err == nil {
			ends[i], err = end.Conn()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other := dial(t, s)
	if err := other.Unlink(t.Context(), name); err != nil { // so that the next pipe is another
		t.Fatal(err)
	}
	return ends[0], ends[1], func() {
		for _, pipe := range pipes {
			if err := pipe.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPipeConn(t *testing.T) {
	s := start(t, daemon.Config{})
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b, stop = conns(t, s)
		return a, b, stop, nil
	})
}

// The end of the other side is io.EOF for who reads and EPIPE for who writes, however
// much room there is.
func TestPipeConnEnds(t *testing.T) {
	s := start(t, daemon.Config{})
	a, b, stop := conns(t, s)
	defer stop()
	if n, err := a.Write([]byte("left")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(b)
	if string(text) != "left" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	n, err := b.Write([]byte("x"))
	if n != 0 || !errors.Is(err, syscall.EPIPE) || !errors.Is(err, shmd.ErrEnded) || errors.Is(err, io.EOF) {
		t.Errorf("write to who is gone: %d, %v", n, err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of what was closed: %v", err)
	}
	if text := b.LocalAddr().String() + " " + b.RemoteAddr().String(); text != "conn:b conn:a" {
		t.Errorf("addresses %s", text)
	}
}
