//go:build shmd_crash

package daemon

import (
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The twin of failpoint.go: SHMD_FAIL is NAME:N, and the daemon kills itself when it
// comes to the point of that name for the Nth time; N may be ~M, a random number up to M.
// With @ before NAME it counts from SIGUSR1 on.
//
//	create     an object is made, and at the keeper; there is no record
//	created    there is a record; nobody was answered
//	append     half of a record is written
//	appended   a record is written
//	compact    half of a new journal is written
//	compacted  the keeper has the new journal
//	restored   a successor knows everything, and has recovered nothing
//	recover    a successor has recovered an object
var failpoint = newFailpoint()

// journalSizeMin makes compaction frequent.
const journalSizeMin = 64 << 10

type failpoints struct {
	mu    sync.Mutex
	name  string
	left  int  // protected by mu
	armed bool // protected by mu
}

func newFailpoint() *failpoints {
	text, later := strings.CutPrefix(os.Getenv("SHMD_FAIL"), "@")
	name, count, _ := strings.Cut(text, ":")
	number, random := strings.CutPrefix(count, "~")
	left, _ := strconv.Atoi(number)
	if random {
		left = 1 + rand.IntN(max(1, left))
	}
	f := &failpoints{name: name, left: left, armed: !later}
	if later {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGUSR1)
		go func() {
			<-signals
			f.mu.Lock()
			defer f.mu.Unlock()
			f.armed = true
		}()
	}
	return f
}

func (s *Server) point(name string) {
	f := failpoint
	if name != f.name {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return
	}
	if f.left--; f.left == 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}
