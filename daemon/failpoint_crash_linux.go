//go:build shmd_crash

package daemon

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The twin of failpoint.go: SHMD_FAIL is NAME:N, and the daemon kills itself when it
// comes to the point of that name for the Nth time; NAME:~N is a random time up to N.
var failpoint struct {
	once sync.Once
	mu   sync.Mutex
	name string
	left int
}

func (s *Server) point(name string) {
	failpoint.once.Do(func() {
		var count string
		failpoint.name, count, _ = strings.Cut(os.Getenv("SHMD_FAIL"), ":")
		number, random := strings.CutPrefix(count, "~")
		failpoint.left, _ = strconv.Atoi(number)
		if random {
			failpoint.left = 1 + rand.IntN(max(1, failpoint.left))
		}
	})
	if name != failpoint.name {
		return
	}
	failpoint.mu.Lock()
	defer failpoint.mu.Unlock()
	if failpoint.left--; failpoint.left == 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}
