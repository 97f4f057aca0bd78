package crash

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// The client: what runs in the processes that are killed.
//
//	open KIND NAME         ok               KIND: mutex, array
//	lock NAME [NS]         held | notice SEAT PID UID DEATHS DIED_NS
//	unlock NAME, mark NAME, begin NAME, end NAME, set NAME INDEX VALUE    ok
//	pair NAME              values A B clean|dirty, the first two as one cut
//	work NAME SLOT         ok, then, when told by cell 2, done: see worker_test.go
//	close NAME, closesocket                ok
//	exec                   idle, from another program in the same process
//	halfway NAME STEP      see halfway_linux_test.go
//	readonly NAME          see user_test.go
//
// and those of messenger_test.go; or "error NAME". The first line says whether it could connect.

// thing is an open object.
type thing interface {
	lock(timeout time.Duration) (*wire.Notice, error) // -1 = for ever
	unlock() error
	mark() error
	beginWrite() error
	endWrite() error
	length() int
	get(i int) (int64, error) // plain, when the lock is held
	set(i int, v int64) error // plain, in a bracket
	pair() (v [2]int64, dirty bool, err error)
	close() error
}

// opener opens things in the way of a flavour.
type opener func(c *shmd.Client, kind, name string) (thing, error)

// idleFlavour is what a client is after exec.
const idleFlavour flavour = "idle"

func clientMain(f flavour) int {
	input := bufio.NewScanner(os.Stdin)
	if f == idleFlavour {
		fmt.Println("idle")
		for input.Scan() {
		}
		return 0
	}
	c, err := shmd.Dial(context.Background(), shmd.Options{Software: string(f), ReattachTimeout: harness.Patience})
	fmt.Println(outcome(err))
	if err != nil {
		return 0
	}
	s := speaker{c, openMapped, make(map[string]thing), newMessenger(mappedOpens{c})}
	if f == flavourSocket {
		s.open, s.messenger = openSocket, newMessenger(socketOpens{c})
	}
	for input.Scan() {
		fmt.Println(s.obey(strings.Fields(input.Text())))
	}
	for _, t := range s.things {
		if err := t.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if err := s.messenger.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// speaker obeys commands.
type speaker struct {
	client    *shmd.Client
	open      opener
	things    map[string]thing
	messenger *messenger
}

// outcome is an error as a line; the sentence goes to standard error.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	fmt.Fprintln(os.Stderr, err)
	return "error " + status.Of(err).Name()
}

func (s *speaker) obey(words []string) string {
	if answer := s.messenger.obey(words); answer != "" {
		return answer
	}
	switch words[0] {
	case "open":
		t, err := s.open(s.client, words[1], words[2])
		if err == nil {
			s.things[words[2]] = t
		}
		return outcome(err)
	case "closesocket":
		return outcome(closeSockets())
	case "exec":
		if err := os.Setenv(flavourVariable, string(idleFlavour)); err != nil {
			return err.Error()
		}
		return outcome(syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ()))
	case "readonly":
		return readOnly(words[1])
	}
	t := s.things[words[1]]
	if t == nil {
		return "no open object in: " + strings.Join(words, " ")
	}
	switch words[0] {
	case "lock":
		timeout := int64(-1)
		if len(words) > 2 {
			if _, err := fmt.Sscan(words[2], &timeout); err != nil {
				return err.Error()
			}
		}
		n, err := t.lock(time.Duration(timeout))
		switch {
		case err != nil:
			return outcome(err)
		case n != nil:
			return fmt.Sprintf("notice %d %d %d %d %d", n.Seat, n.PID, n.UID, n.Deaths, n.DiedNS)
		}
		return "held"
	case "unlock":
		return outcome(t.unlock())
	case "mark":
		return outcome(t.mark())
	case "begin":
		return outcome(t.beginWrite())
	case "end":
		return outcome(t.endWrite())
	case "set":
		var i int
		var v int64
		if _, err := fmt.Sscan(words[2]+" "+words[3], &i, &v); err != nil {
			return err.Error()
		}
		return outcome(t.set(i, v))
	case "pair":
		v, dirty, err := t.pair()
		switch {
		case err != nil:
			return outcome(err)
		case dirty:
			return fmt.Sprintf("values %d %d dirty", v[0], v[1])
		}
		return fmt.Sprintf("values %d %d clean", v[0], v[1])
	case "close":
		delete(s.things, words[1])
		return outcome(t.close())
	case "work":
		var slot int
		if _, err := fmt.Sscan(words[2], &slot); err != nil {
			return err.Error()
		}
		fmt.Println("ok")
		if err := work(t, slot); err != nil {
			return "broken: " + err.Error()
		}
		return "done"
	case "halfway":
		return halfway(t, words[2])
	}
	return "no such command: " + strings.Join(words, " ")
}

// closeSockets closes the connection under the library's hands, as a program
// does that closes every descriptor it does not know.
func closeSockets() error {
	closed := 0
	for fd := 3; fd < 1024; fd++ {
		var about unix.Stat_t
		if unix.Fstat(fd, &about) == nil && about.Mode&unix.S_IFMT == unix.S_IFSOCK {
			if err := unix.Close(fd); err != nil {
				return err
			}
			closed++
		}
	}
	if closed != 1 {
		return status.New(status.Internal, "close sockets", "%d were open", closed)
	}
	return nil
}
