package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/tests/measure"
)

// replyLimit bounds the wait for a line of an adapter; it says nothing about speed.
const replyLimit = 30 * time.Second

// errUnsupported is what the system cannot do, and why.
type errUnsupported string

func (e errUnsupported) Error() string { return string(e) }

// process is one that an adapter runs.
type process struct {
	*measure.Child
	role   string
	index  int
	stderr *lastLines
	pids   []int // further ones, which it names
}

// session is an adapter at its work at one setting: its processes, and its server.
type session struct {
	adapter   *adapter
	setting   setting
	row       *row
	dir       string
	socket    string
	name      string
	samples   string // a file, "" = none are wanted
	server    *process
	processes []*process
}

// sessions are counted, for names that nobody has had.
var sessions atomic.Int64

// roles are those of a workload, the first of which makes the objects, and how many processes
// each has.
func (s *session) roles() (roles []string, counts []int) {
	switch s.row.Workload {
	case "roundtrip":
		return []string{"ping", "pong"}, []int{1, 1}
	case "oneway":
		return []string{"put", "take"}, []int{s.setting.Producers, s.setting.Consumers}
	case "recovery":
		return []string{"owner", "waiter"}, []int{1, 1}
	case "attach":
		return []string{"opener"}, []int{2} // one makes, one opens
	case "idle":
		return []string{"sleeper"}, []int{1}
	case "memory":
		return []string{"maker"}, []int{1}
	}
	return []string{"worker"}, []int{max(1, s.setting.Processes)}
}

// openSession starts all processes until they are ready. What the system cannot do is
// errUnsupported.
func (b *bench) openSession(ctx context.Context, a *adapter, r *row, at setting,
	withSamples bool) (_ *session, err error) {
	s := &session{adapter: a, setting: at, row: r}
	// In memory, as far as the system has such files: what is mapped is never written to a disk.
	if s.dir, err = os.MkdirTemp("/dev/shm", "rival"); err != nil {
		return nil, err
	}
	s.name = fmt.Sprintf("rival-%d-%d", os.Getpid(), sessions.Add(1))
	s.socket = filepath.Join(s.dir, "server.sock")
	if withSamples {
		s.samples = filepath.Join(s.dir, "samples")
	}
	if err := s.start(ctx, b); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *session) start(ctx context.Context, b *bench) (err error) {
	if len(s.adapter.Server) > 0 {
		if s.server, err = s.launch(ctx, b, s.adapter.Server, "serve", "server", 0); err != nil {
			return err
		}
	}
	roles, counts := s.roles()
	for i, role := range roles {
		for index := range counts[i] {
			p, err := s.launch(ctx, b, s.adapter.Command, s.row.Workload, role, index)
			if err != nil {
				return err
			}
			s.processes = append(s.processes, p)
		}
	}
	return nil
}

// launch starts a process until it is ready.
func (s *session) launch(ctx context.Context, b *bench, command []string, workload, role string, index int) (*process,
	error) {
	path, words, err := s.adapter.resolve(command)
	if err != nil {
		return nil, err
	}
	p := &process{role: role, index: index, stderr: new(lastLines)}
	p.Child, err = measure.Command{Path: path, Args: append(words, s.arguments(workload, role, index)...),
		CPUs: b.cpusOf(s.setting.Placement, role, index), Env: s.adapter.env(), Stderr: p.stderr}.Start(ctx)
	if err != nil {
		return nil, err
	}
	line, err := p.await(replyLimit)
	if err == nil {
		err = p.parseReady(line)
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func (p *process) parseReady(line string) error {
	if reason, found := strings.CutPrefix(line, "unsupported "); found {
		return errUnsupported(reason)
	}
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ready" {
		return fmt.Errorf("%s said %q instead of ready", p.role, line)
	}
	for _, word := range words[1:] {
		list, _ := strings.CutPrefix(word, "pids=")
		for pid := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(pid)
			if err != nil {
				return fmt.Errorf("%s said %q", p.role, line)
			}
			p.pids = append(p.pids, n)
		}
	}
	return nil
}

// await is Line with an end, and with what the process complained about.
func (p *process) await(limit time.Duration) (string, error) {
	watchdog := time.AfterFunc(limit, func() { _ = p.Cmd.Process.Kill() }) // Line tells
	line, err := p.Line()
	if err == nil {
		watchdog.Stop()
		return line, nil
	}
	if !watchdog.Stop() {
		return "", fmt.Errorf("%s %d did not answer within %v", p.role, p.index, limit)
	}
	p.Kill() // so that all of stderr is there
	if complaint := p.stderr.last(); complaint != "" {
		return "", errors.New(complaint)
	}
	return "", fmt.Errorf("%s %d ended early", p.role, p.index)
}

func (s *session) arguments(workload, role string, index int) []string {
	at := s.setting
	args := []string{workload, role, "name=" + s.name, "dir=" + s.dir, "socket=" + s.socket}
	integer := func(key string, value int) { args = append(args, key+"="+strconv.Itoa(value)) }
	flag := func(key string, value bool) { integer(key, map[bool]int{true: 1}[value]) }
	integer("index", index)
	integer("size", max(8, at.SizeBytes))
	integer("batch", max(1, at.Batch))
	integer("producers", max(1, at.Producers))
	integer("consumers", max(1, at.Consumers))
	integer("processes", max(1, at.Processes))
	flag("verify", s.row.Verify)
	flag("touch", !at.Untouched)
	if at.Wait != "" {
		args = append(args, "wait="+at.Wait)
	}
	if s.samples != "" && s.isTimed(role, index) {
		args = append(args, "samples="+s.samples)
	}
	return append(args, s.adapter.Arguments...)
}

// isTimed says whether the operations of that process are those that are measured.
func (s *session) isTimed(role string, index int) bool {
	switch s.row.Workload {
	case "roundtrip":
		return role == "ping"
	case "attach":
		return index == 1
	}
	return index == 0
}

// everybody are all processes of the system, with those that they have started.
func (s *session) everybody() ([]int, error) {
	pids := map[int]bool{}
	for _, p := range append([]*process{s.server}, s.processes...) {
		if p == nil {
			continue
		}
		for _, pid := range append(p.pids, p.Cmd.Process.Pid) {
			family, err := measure.Family(pid)
			if err != nil {
				return nil, err
			}
			for _, member := range family {
				pids[member] = true
			}
		}
	}
	var all []int
	for pid := range pids {
		all = append(all, pid)
	}
	return all, nil
}

// close ends all in an orderly way; who takes too long is killed.
func (s *session) close() error {
	all := slices.Clone(s.processes)
	if s.server != nil {
		all = append(all, s.server)
	}
	watchdog := time.AfterFunc(replyLimit, func() {
		for _, p := range all {
			_ = p.Cmd.Process.Kill() // Stop tells
		}
	})
	defer watchdog.Stop()
	var wrong []error
	for _, p := range s.processes {
		wrong = append(wrong, p.End()) // all at once: one may wait for another
	}
	for _, p := range all {
		if err := p.Stop(); err != nil {
			wrong = append(wrong, fmt.Errorf("%s %d: %w: %s", p.role, p.index, err, p.stderr.last()))
		}
	}
	return errors.Join(append(wrong, os.RemoveAll(s.dir))...)
}

// kill ends all at once. What a system leaves behind then is swept away, too.
func (s *session) kill() {
	for _, p := range s.processes {
		p.Kill()
	}
	if s.server != nil {
		watchdog := time.AfterFunc(replyLimit, func() { _ = s.server.Cmd.Process.Kill() })
		_ = s.server.Stop() // it may have children of its own, which end with it
		watchdog.Stop()
	}
	s.sweep()
}

// sweep removes the files of this session, whoever made them; what cannot be removed shows
// in the next session, if it matters.
func (s *session) sweep() {
	left, _ := filepath.Glob("/dev/shm/*" + s.name + "*")
	queues, _ := filepath.Glob("/dev/mqueue/*" + s.name + "*")
	for _, path := range append(append(left, queues...), s.dir) {
		_ = os.RemoveAll(path)
	}
}

// lastLines keeps the end of what is written to it.
type lastLines struct {
	mutex sync.Mutex
	text  []byte
}

const lastLinesBytes = 4096

func (l *lastLines) Write(text []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.text = append(l.text, text...)
	l.text = l.text[max(0, len(l.text)-lastLinesBytes):]
	return len(text), nil
}

// last is the last line that is not empty.
func (l *lastLines) last() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	text := strings.TrimSpace(string(l.text))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
