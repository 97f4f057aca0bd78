package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

const (
	// restartRounds is the length of a run of the test-suite; each ends in the death of a
	// daemon, or of a keeper.
	restartRounds = 10 * 28
	// chaosRounds is the same with hostile clients.
	chaosRounds = 10 * 2
	// restartProgress is how many steps the traffic makes between two of them.
	restartProgress = 1000
	// creditsInRound lets the traffic get there, and leaves numbers for the last round.
	creditsInRound = 400
	// lockers are the workers at the lock.
	lockers = 3
)

// ending is how a round ends.
type ending struct {
	name  string
	point string // of daemon/failpoint_crash_linux.go; "" = killed from outside
	act   func(r *service)
}

const keeperKilled = "keeper killed"

var endings = []ending{
	{"daemon killed", "", (*service).killDaemon},
	{"killed in create", "@create:~20", (*service).arm},
	{keeperKilled, "", (*service).killKeeper},
	{"killed after create", "@created:~20", (*service).arm},
	{"daemon and clients killed", "", (*service).killWithClients},
	{"killed in append", "@append:~100", (*service).arm},
	{keeperKilled, "", (*service).killKeeper},
	{"killed in compaction", "@compact:~20", (*service).arm},
	{"killed in recovery", "", (*service).killInRecovery},
	{"killed after compaction", "@compacted:1", (*service).arm},
}

// service is traffic, and workers at a lock, under daemons that follow each other.
type service struct {
	*road
	crew   *crew
	random *rand.Rand
	counts map[string]int
}

// TestRestartKills kills daemons and keepers under Go, C and socket clients, at points
// inside whatever they do, and alone or with clients: the books of all are right in the
// end, and nobody is stuck.
func TestRestartKills(t *testing.T) { playRestarts(t, restartRounds, false) }

// TestChaos is the same with hostile clients beside them.
func TestChaos(t *testing.T) { playRestarts(t, chaosRounds, true) }

func playRestarts(t *testing.T, rounds int, hostile bool) {
	seed := randomSeed(t)
	t.Setenv(unknownVariable, "1")
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSceneWith(t, crashing(t, endings[0].point))
	if err := s.ctl.Close(); err != nil {
		t.Error(err)
	}
	s.ctl = patient(t, s.Socket, "director")
	r := &service{road: newRoad(t, s), crew: newCrew(s), random: random, counts: make(map[string]int)}
	objects := r.objects()
	stop := r.startChurn()
	var v *vandals
	if hostile {
		v = startVandals(r.Socket, seed)
	}
	end := time.Now().Add(givenLength(t))
	progress := int64(0)
	round := 0
	for ; round < rounds || time.Now().Before(end); round++ {
		e := endings[round%len(endings)]
		r.grant(creditsInRound - int64(r.permits("credits").Available))
		progress = r.awaitLively(progress + restartProgress)
		e.act(r)
		r.counts[e.name]++
		if r.Ended() {
			r.follow(crashing(r.t, nextPoint(round+1)))
		}
		if t.Failed() {
			return
		}
	}
	stop()
	if hostile {
		t.Log("pranks:", v.finish())
	}
	harness.Await(t, "the objects of those who came and went are gone", func() bool { return r.objects() == objects })
	r.rehire()
	r.crew.dismiss()
	r.finish()
	locks := r.crew.audit()
	t.Logf("%d rounds, %d steps of the traffic, %d of the locks, ends: %v", round, progress, locks, r.counts)
	if err := s.ctl.Close(); err != nil {
		t.Error(err)
	}
}

// objects is how many the daemon has.
func (r *service) objects() int64 {
	r.t.Helper()
	var now wire.Status
	r.call(wire.MethodStatus, &now)
	return int64(now.Objects)
}

// nextPoint is where the daemon of a round ends, which may outlive a keeper.
func nextPoint(round int) string {
	for endings[round%len(endings)].name == keeperKilled {
		round++
	}
	return endings[round%len(endings)].point
}

// crashing is a daemon that may end at a point.
func crashing(t *testing.T, point string) harness.DaemonOptions {
	return harness.DaemonOptions{Program: harness.Program(t, "shmd-crash"),
		Env: []string{"SHMD_FAIL=" + point}}
}

// patient is a client whose calls wait for the next daemon as long as a loaded machine needs.
func patient(t *testing.T, socket, software string) *shmd.Client {
	t.Helper()
	c, err := shmd.Dial(t.Context(), shmd.Options{Socket: socket, Software: software,
		ReattachTimeout: harness.Patience})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startChurn makes objects come and go.
func (r *service) startChurn() (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	c := patient(r.t, r.Socket, "churn")
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			var a wire.Attachment
			// What is not known to have been made goes when the client comes back.
			if c.Call(r.t.Context(), wire.MethodCreate, &a, "", wire.KindMutex, wire.CreateOptions{}) == nil {
				_ = c.Call(r.t.Context(), wire.MethodClose, nil, a.Handle) // or when the client ends
			}
		}
	}()
	return func() {
		close(done)
		wg.Wait()
		if err := c.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// follow starts the next daemon.
func (r *service) follow(o harness.DaemonOptions) {
	r.t.Helper()
	r.Daemon = r.Restart(o)
}

// rehire replaces the socket clients that did not know what became of a call.
func (r *service) rehire() {
	r.t.Helper()
	for i, w := range r.road.workers {
		if w.Ended() {
			r.road.hire(i)
		}
	}
	for i, w := range r.crew.workers {
		if w != nil && w.Ended() {
			r.crew.hire(i)
		}
	}
}

// awaitLively waits for progress, of the locks too.
func (r *service) awaitLively(n int64) int64 {
	r.t.Helper()
	locks := r.crew.load(0) + 1
	giveUp := time.Now().Add(harness.Patience)
	for {
		r.rehire()
		now := r.load(bookProgress)
		if now >= n && r.crew.load(0) > locks {
			return now
		}
		if time.Now().After(giveUp) {
			r.t.Errorf("the locks are at %d, and were at %d", r.crew.load(0), locks)
			return r.awaitProgress(n)
		}
	}
}

func (r *service) killDaemon() { r.Kill() }

// arm lets the daemon come to its failpoint.
func (r *service) arm() {
	r.Signal(syscall.SIGUSR1)
	_ = r.Wait()
}

func (r *service) killWithClients() {
	victims := []*harness.Process{r.Daemon.Process}
	for _, i := range r.random.Perm(len(r.road.workers))[:2] {
		victims = append(victims, r.road.workers[i].Process)
	}
	victims = append(victims, r.crew.workers[r.random.IntN(lockers)].Process)
	for _, i := range r.random.Perm(len(victims)) {
		victims[i].Signal(syscall.SIGKILL)
	}
	for _, v := range victims {
		<-v.Done()
	}
}

// killInRecovery lets the next daemon die too, before it serves.
func (r *service) killInRecovery() {
	r.Kill()
	for _, point := range []string{"restored:1", "recover:~5"} {
		cmd := exec.Command(harness.Program(r.t, "shmd-crash"), "serve", "--socket", r.Socket)
		cmd.Env = append(os.Environ(), "SHMD_FAIL="+point)
		p := harness.StartCmd(r.t, cmd)
		<-p.Done()
	}
}

func (r *service) killKeeper() {
	pid := r.KeeperPID()
	if pid == 0 {
		r.t.Fatal("there is no keeper")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	harness.Await(r.t, "another keeper", func() bool { now := r.KeeperPID(); return now != 0 && now != pid })
	var a wire.Attachment
	name := fmt.Sprintf("kept/%d", r.counts[keeperKilled])
	r.call(wire.MethodCreate, &a, name, wire.KindMutex, wire.CreateOptions{})
	r.call(wire.MethodDestroy, nil, name)
	r.call(wire.MethodClose, nil, a.Handle)
}
