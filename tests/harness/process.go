package harness

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is the watchdog of every wait. It says nothing about speed.
const Patience = 2 * time.Minute

// Process is a child that is spoken to in lines.
type Process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // what it prints; closed at the end of its output
	ended chan struct{}
	err   error // of Wait; valid once ended is closed

	mu     sync.Mutex
	stderr bytes.Buffer // protected by mu
}

// Start runs a program. It is killed when the test ends. Its standard error is
// shown when the test fails.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return StartCmd(t, exec.Command(name, args...))
}

// StartCmd is Start for a command of one's own making: environment, credentials,
// namespaces.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: cmd.Path, cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	// A pipe of our own: exec's would be closed by Wait before it is read out.
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, p
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %v: %v", cmd.Args, err)
	}
	in.Close()
	go func() {
		defer close(p.lines)
		defer out.Close()
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
	}()
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		p.CloseStdin() // a child of it that still reads ends too, and lets Wait end
		<-p.ended
		for range p.lines {
			// Unread output keeps nobody from ending.
		}
		if t.Failed() {
			t.Logf("%v: %v\n%s", cmd.Args, p.err, p.Stderr())
		}
	})
	return p
}

// Write collects standard error.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

// Stderr is what it has written to standard error so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.ended }

// Ended reports whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Line returns the next line that it prints, and fails the test at the end of
// its output.
func (p *Process) Line() string {
	p.t.Helper()
	watchdog := time.NewTimer(Patience)
	defer watchdog.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			<-p.ended
			p.t.Fatalf("%v ended (%v) instead of printing a line\n%s", p.cmd.Args, p.err, p.Stderr())
		}
		return line
	case <-watchdog.C:
		p.t.Fatalf("%v printed nothing for %v\n%s", p.cmd.Args, Patience, p.Stderr())
	}
	return ""
}

// Within returns the next line if it prints one before the time is over.
func (p *Process) Within(d time.Duration) (line string, ok bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case line, ok := <-p.lines:
		return line, ok
	case <-timer.C:
		return "", false
	}
}

// Poll returns the next line if it has printed one already; "" = it has not.
func (p *Process) Poll() string {
	select {
	case line := <-p.lines:
		return line
	default:
		return ""
	}
}

// Expect reads a line and fails the test if it is another.
func (p *Process) Expect(want string) {
	p.t.Helper()
	if got := p.Line(); got != want {
		p.t.Fatalf("%v printed %q, want %q\n%s", p.cmd.Args, got, want, p.Stderr())
	}
}

// Send writes a line to its standard input.
func (p *Process) Send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatalf("send %q to %v: %v\n%s", line, p.cmd.Args, err, p.Stderr())
	}
}

// Ask sends a line and returns the line that comes back.
func (p *Process) Ask(line string) string {
	p.t.Helper()
	p.Send(line)
	return p.Line()
}

// CloseStdin ends its input.
func (p *Process) CloseStdin() { _ = p.stdin.Close() } // it may be gone already

// Signal sends a signal; a process that has ended gets none.
func (p *Process) Signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v to %v: %v", s, p.cmd.Args, err)
	}
}

// Kill kills it and waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	_ = p.Wait()
}

// Wait waits for its end and returns what exec.Cmd.Wait says.
func (p *Process) Wait() error {
	p.t.Helper()
	watchdog := time.NewTimer(Patience)
	defer watchdog.Stop()
	select {
	case <-p.ended:
		return p.err
	case <-watchdog.C:
		p.t.Fatalf("%v does not end\n%s", p.cmd.Args, p.Stderr())
	}
	return nil
}

// MustEnd closes its input and fails the test unless it ends with status 0.
func (p *Process) MustEnd() {
	p.t.Helper()
	p.CloseStdin()
	if err := p.Wait(); err != nil {
		p.t.Fatalf("%v: %v\n%s", p.cmd.Args, err, strings.TrimSpace(p.Stderr()))
	}
}
