package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// pair returns the two ends of a connection.
func pair(t *testing.T) (server, client *Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dialled, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*Conn, 2)
	for i, socket := range []*net.UnixConn{accepted, dialled} {
		if ends[i], err = NewConn(socket); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		if err := ends[i].SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestConnCarriesBytesAndCredentials(t *testing.T) {
	server, client := pair(t)
	if err := server.EnableCredentials(); err != nil {
		t.Fatal(err)
	}
	if err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	n, fds, cred, err := server.Read(b)
	if err != nil || string(b[:n]) != "hello" || fds != nil {
		t.Fatal(n, fds, err)
	}
	peer, err := server.PeerCredentials()
	if err != nil || cred == nil || *cred != peer || int(peer.Pid) != os.Getpid() || int(peer.Uid) != os.Getuid() {
		t.Fatal(cred, peer, err)
	}
	// Nobody asked for them on the other side.
	if err := server.Write([]byte("yes")); err != nil {
		t.Fatal(err)
	}
	if n, _, cred, err := client.Read(b); n != 3 || cred != nil || err != nil {
		t.Fatal(n, cred, err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := server.Read(b); err != io.EOF {
		t.Fatal(err)
	}
}

func TestConnCarriesDescriptors(t *testing.T) {
	server, client := pair(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString("inside"); err != nil {
		t.Fatal(err)
	}
	// More than the socket takes at once, so that a remainder must follow.
	message := bytes.Repeat([]byte("0123456789abcdef"), MessageMax/16)
	sent := make(chan error, 1)
	go func() { sent <- server.WriteWithFiles(message, []int{int(file.Fd())}) }()
	var got []byte
	var taken []int
	for b := make([]byte, 65536); len(got) < len(message); {
		n, fds, _, err := client.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got, taken = append(got, b[:n]...), append(taken, fds...)
		if len(got) == n && len(taken) != 1 {
			t.Fatal("the first byte carries no descriptor")
		}
	}
	if err := <-sent; err != nil || !bytes.Equal(got, message) || len(taken) != 1 {
		t.Fatal(err, len(got), taken)
	}
	received := os.NewFile(uintptr(taken[0]), "received")
	defer func() { _ = received.Close() }()
	content := make([]byte, 6)
	if _, err := received.ReadAt(content, 0); err != nil || string(content) != "inside" {
		t.Fatal(err, content)
	}
	flags, err := unix.FcntlInt(received.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Fatal("the descriptor would survive exec", flags, err)
	}
}

func TestConnRefusesTooManyDescriptors(t *testing.T) {
	server, client := pair(t)
	if err := server.EnableCredentials(); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for _, count := range []int{fdsMax + 1, fdsMax + 2, 200} {
		rights := unix.UnixRights(make([]int, count)...)
		if _, _, err := client.Socket().WriteMsgUnix([]byte("x"), rights, nil); err != nil {
			t.Fatal(err)
		}
		if n, fds, _, err := server.Read(make([]byte, 8)); status.Of(err) != status.BadFrame {
			t.Errorf("%d descriptors: %d, %v, %v", count, n, fds, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
	if err := client.WriteWithFiles([]byte("x"), make([]int, fdsMax+1)); status.Of(err) != status.Invalid {
		t.Error(err)
	}
	if err := client.WriteWithFiles(nil, []int{0}); status.Of(err) != status.Invalid {
		t.Error(err)
	}
	// As many as there is room for come along with the credentials.
	if err := client.WriteWithFiles([]byte("x"), make([]int, fdsMax)); err != nil {
		t.Fatal(err)
	}
	n, fds, cred, err := server.Read(make([]byte, 8))
	if n != 1 || len(fds) != fdsMax || cred == nil || err != nil {
		t.Error(n, fds, cred, err)
	}
	closeAll(fds)
}

func TestConnReadEndsWithItsDeadline(t *testing.T) {
	server, _ := pair(t)
	if err := server.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := server.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestConnReadDoesNotAllocate(t *testing.T) {
	server, client := pair(t)
	if err := server.EnableCredentials(); err != nil {
		t.Fatal(err)
	}
	b, message := make([]byte, 64), []byte("ping")
	n := testing.AllocsPerRun(100, func() {
		if err := client.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := server.Read(b); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// More than the socket takes at once arrives whole, and a peer that is gone is an error that
// says how much it got.
func TestConnSendsMoreThanFits(t *testing.T) {
	server, client := pair(t)
	message := make([]byte, 3<<20)
	for i := range message {
		message[i] = byte(i >> 8)
	}
	sent := make(chan error, 1)
	go func() {
		n, err := client.Send(message)
		if n != len(message) {
			err = errors.Join(err, errors.New("not all was sent"))
		}
		sent <- err
	}()
	var got []byte
	for b := make([]byte, 100_000); len(got) < len(message); {
		n, _, _, err := server.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if err := <-sent; err != nil || !bytes.Equal(got, message) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	go func() {
		n, err := client.Send(message)
		if n == 0 || n == len(message) {
			err = errors.Join(err, errors.New("all or nothing was sent"))
		}
		sent <- err
	}()
	if _, _, _, err := server.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := <-sent; !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
	if n, err := client.Send(message); n != 0 || !errors.Is(err, unix.EPIPE) {
		t.Error(n, err)
	}
}

func TestConnSendEndsWithItsDeadline(t *testing.T) {
	_, client := pair(t)
	if err := client.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Send(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(n, err)
	}
}
