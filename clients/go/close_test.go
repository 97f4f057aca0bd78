package shmd

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/wire"
)

// A daemon that ends instead of hearing the goodbye has a successor, to which the client
// comes back meanwhile: that one hears it, and the connection ends.
func TestCloseTellsTheNextDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := listener.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- twoDaemons(listener) }()
	c, err := Dial(t.Context(), Options{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-over; err != nil {
		t.Errorf("the next daemon: %v", err)
	}
}

// twoDaemons is one that ends with the goodbye, and then one that answers it; an error if
// that one does not hear it, or does not see the end of the connection.
func twoDaemons(listener *net.UnixListener) error {
	said := false
	for answers := range 2 {
		peer, err := listener.AcceptUnix()
		if err != nil {
			return err
		}
		if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var failed error
		received(peer, func(r wire.Request) bool {
			answer := wire.AppendResultHeader(nil, r.ID)
			switch {
			case r.Method == wire.MethodHello:
				answer, failed = wire.AppendEncoded(answer, &wire.HelloResult{Client: 1, Resumable: true})
			case r.Method != wire.MethodBye:
				return true
			case answers == 0:
				return false
			default:
				said, answer = true, wire.AppendNil(answer)
			}
			if failed == nil {
				_, failed = peer.Write(answer)
			}
			return failed == nil
		})
		if err := peer.Close(); failed == nil {
			failed = err
		}
		if failed != nil {
			return failed
		}
	}
	if !said {
		return net.ErrClosed
	}
	return nil
}
