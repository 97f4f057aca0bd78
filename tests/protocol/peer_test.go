package protocol

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// peer is a bare connection.
type peer struct {
	t    *testing.T
	conn *wire.Conn
	in   []byte // received and not taken yet
	fds  int    // descriptors received
	id   uint32 // of the last request
}

func dial(t *testing.T, socket string) *peer {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewConn(c.(*net.UnixConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, conn: conn}
}

// send sends bytes. A daemon that has closed already is no mistake: it may have
// been told enough by the first of them.
func (p *peer) send(b []byte) {
	p.t.Helper()
	err := p.conn.Write(b)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatal(err)
	}
}

// receive returns the next message; nil at the end of the connection.
func (p *peer) receive() []byte {
	p.t.Helper()
	buffer := make([]byte, 1<<16)
	for {
		n, err := wire.Scan(p.in)
		if err != nil {
			p.t.Fatalf("the daemon sends % x: %v", p.in, err)
		}
		if n > 0 {
			frame := p.in[:n]
			p.in = slices.Clone(p.in[n:])
			return frame
		}
		got, fds, _, err := p.conn.Read(buffer)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			if len(p.in) > 0 {
				p.t.Fatalf("the daemon closes inside of a message: % x", p.in)
			}
			return nil
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for _, fd := range fds {
			p.fds++
			if err := unix.Close(fd); err != nil {
				p.t.Error(err)
			}
		}
		p.in = append(p.in, buffer[:got]...)
	}
}

// greet says hello.
func (p *peer) greet() *peer {
	p.t.Helper()
	p.must(wire.MethodHello, 1, 1, make([]byte, 16), "bare")
	return p
}

// request is a request in bytes; its id is p.id.
func (p *peer) request(method string, params ...any) []byte {
	p.t.Helper()
	p.id++
	b := wire.AppendRequestHeader(nil, p.id, method, len(params))
	for _, param := range params {
		var err error
		if b, err = wire.AppendEncoded(b, param); err != nil {
			p.t.Fatal(err)
		}
	}
	return b
}

// response receives the answer to the request of that id.
func (p *peer) response(id uint32) wire.Response {
	p.t.Helper()
	message := p.receive()
	r, err := wire.ParseResponse(message)
	if err != nil || r.ID != id {
		p.t.Fatalf("want the answer to %d, got %s (%v)", id, show(message), err)
	}
	return r
}

// call makes a call.
func (p *peer) call(method string, params ...any) wire.Response {
	p.t.Helper()
	p.send(p.request(method, params...))
	return p.response(p.id)
}

// must makes a call that succeeds.
func (p *peer) must(method string, params ...any) []byte {
	p.t.Helper()
	r := p.call(method, params...)
	if r.Err != nil {
		p.t.Fatalf("%s %v: %v", method, params, r.Err)
	}
	return r.Result
}

// attach is must for create and open; it returns the handle.
func (p *peer) attach(method string, params ...any) uint64 {
	p.t.Helper()
	var a wire.Attachment
	if err := wire.Decode(p.must(method, params...), &a); err != nil {
		p.t.Fatal(err)
	}
	return a.Handle
}

// refuses makes a call that must fail with this code and all of these texts.
func (p *peer) refuses(code status.Code, texts string, method string, params ...any) {
	p.t.Helper()
	r := p.call(method, params...)
	wantError(p.t, method, params, r.Err, code, texts)
}

// wantError checks an error; texts are separated by "|".
func wantError(t *testing.T, what string, params []any, err *status.Error, code status.Code, texts string) {
	t.Helper()
	what = fmt.Sprintf("%.100s %.100s", what, fmt.Sprint(params...))
	if err == nil || err.Code != code {
		t.Errorf("%s: answered %v, want %s", what, err, code.Name())
		return
	}
	if !utf8.ValidString(err.Error()) {
		t.Errorf("%s: %q is not UTF-8", what, err)
	}
	for text := range strings.SplitSeq(texts, "|") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", what, err, text)
		}
	}
}

// ends wants the connection to end with this error, of no request.
func (p *peer) ends(code status.Code, texts string) {
	p.t.Helper()
	wantError(p.t, "the connection", nil, p.response(0).Err, code, texts)
	if rest := p.receive(); rest != nil {
		p.t.Errorf("the connection goes on with %s", show(rest))
	}
}

// alive checks that others are served.
func alive(t *testing.T, witness *shmd.Client, after any) {
	t.Helper()
	if err := witness.Call(t.Context(), wire.MethodPing, nil); err != nil {
		t.Fatalf("after %.200s: %v", fmt.Sprint(after), err)
	}
}
