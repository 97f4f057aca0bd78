package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// children are what this binary is when it is called with "child NAME".
var children = map[string]func(args []string) error{
	"echo":      echoServer,
	"locker":    locker,
	"acquirer":  acquirer,
	"messenger": messenger,
	"partner":   partner,
	"streamer":  streamer,
	"syncer":    syncer,
	"sleepers":  sleepers,
	"takers":    takers,
}

// child is a process that is spoken to in lines.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

// start runs a program until stop, kill or the end of ctx.
func start(ctx context.Context, path string, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, stdin, bufio.NewReader(stdout)}, nil
}

// startSelf runs this binary as one of children.
func startSelf(ctx context.Context, name string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, append([]string{"child", name}, args...)...)
}

// built is something that make builds, below the directory that a variable names.
func built(variable, fallback string, elem ...string) (string, error) {
	root := os.Getenv(variable)
	if root == "" {
		root = fallback
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run it by `make bench`, or `make build` first", err)
	}
	return path, nil
}

// startC runs a program of c/.
func startC(ctx context.Context, name string, args ...string) (*child, error) {
	path, err := built("SHMD_BUILD", "build", "tests", "bench", "c", name)
	if err != nil {
		return nil, err
	}
	return start(ctx, path, args...)
}

// send writes a line.
func (c *child) send(format string, args ...any) error {
	_, err := fmt.Fprintf(c.stdin, format+"\n", args...)
	return err
}

// line reads a line.
func (c *child) line() (string, error) {
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended early: %w", c.cmd, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// expect reads a line that must be the given one.
func (c *child) expect(want string) error {
	got, err := c.line()
	if err == nil && got != want {
		err = fmt.Errorf("%s said %q instead of %q", c.cmd, got, want)
	}
	return err
}

// do sends a command and waits for "done".
func (c *child) do(format string, args ...any) error {
	if err := c.send(format, args...); err != nil {
		return err
	}
	return c.expect("done")
}

// ask sends a command and reads the line that comes back.
func (c *child) ask(format string, args ...any) (string, error) {
	if err := c.send(format, args...); err != nil {
		return "", err
	}
	return c.line()
}

// number sends a command and reads the number that comes back.
func (c *child) number(format string, args ...any) (float64, error) {
	line, err := c.ask(format, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(line, 64)
}

// stop ends its input and waits for it.
func (c *child) stop() error {
	return errors.Join(c.stdin.Close(), c.cmd.Wait())
}

// kill kills it and waits until it is gone; how it ended is known.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// serve is a child's side: it answers commands, a name and at most one number,
// until its input ends.
func serve(answer func(command string, n int) (string, error)) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, number, _ := strings.Cut(in.Text(), " ")
		n := 0
		if number != "" {
			var err error
			if n, err = strconv.Atoi(number); err != nil {
				return err
			}
		}
		reply, err := answer(command, n)
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		if _, err := fmt.Println(reply); err != nil {
			return err
		}
	}
	return in.Err()
}
