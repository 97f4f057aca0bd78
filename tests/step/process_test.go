package step

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
)

// watchdog is the end of patience.
type watchdog time.Time

func deadline() watchdog { return watchdog(time.Now().Add(harness.Patience)) }

func (w watchdog) passed() bool { return time.Now().After(time.Time(w)) }

// process is a player that is going to be killed. Its parent waits for it by hand:
// whoever else did would be told of its stops.
type process struct {
	id     int
	stdin  *os.File
	stdout *os.File
	lines  *bufio.Reader
	gone   bool
}

// spawn starts a player that finds the daemon, and waits until it is connected.
func spawn(path, socket string, env ...string) (*process, error) {
	childIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	stdout, childOut, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return nil, err
	}
	defer childOut.Close()
	p := &process{stdin: stdin, stdout: stdout, lines: bufio.NewReader(stdout)}
	p.id, err = syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{
		Env:   append(append(os.Environ(), "SHMD_SOCKET="+socket), env...),
		Files: []uintptr{childIn.Fd(), childOut.Fd(), os.Stderr.Fd()},
	})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	if err := p.expect("ok"); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.id }

func (p *process) send(line string) error {
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		return fmt.Errorf("tell process %d to %q: %w", p.id, line, err)
	}
	return nil
}

// line is the next one that it prints.
func (p *process) line() (string, error) {
	if err := p.stdout.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		return "", err
	}
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read a line of process %d: %w", p.id, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

func (p *process) expect(want string) error {
	got, err := p.line()
	if err == nil && got != want {
		err = fmt.Errorf("process %d answers %q, want %q", p.id, got, want)
	}
	return err
}

// do lets it do a line that must not fail.
func (p *process) do(line string) error {
	if err := p.send(line); err != nil {
		return err
	}
	answer, err := p.line()
	if err == nil && strings.HasPrefix(answer, "error") {
		err = fmt.Errorf("process %d answers %q to %q", p.id, answer, line)
	}
	return err
}

// kill kills it and waits until it is dead.
func (p *process) kill() {
	if !p.gone {
		_ = unix.Kill(p.id, unix.SIGKILL) // it is our child, and not waited for yet
	}
	for !p.gone {
		var ws unix.WaitStatus
		_, err := unix.Wait4(p.id, &ws, unix.WALL, nil)
		p.gone = err != unix.EINTR && (err != nil || ws.Exited() || ws.Signaled())
	}
	p.close()
}

func (p *process) close() {
	p.stdin.Close()
	p.stdout.Close()
}
