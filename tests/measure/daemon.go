package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// StartDaemon runs bin/shmd serve on a socket, with further flags, until it is ready. It ends
// with this process.
func StartDaemon(ctx context.Context, socket string, flags ...string) (*exec.Cmd, error) {
	binary, err := Built("SHMD_BIN", filepath.Join("bin", "shmd"))
	if err != nil {
		return nil, err
	}
	ready, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	args := append([]string{"serve", "--socket", socket, "--log-level", "warn", "--ready-fd", "3"}, flags...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{in}, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT} // with its keeper, however this ends
	err = cmd.Start()
	in.Close()
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(ready, new(string)); err != nil {
		return nil, errors.Join(fmt.Errorf("the daemon does not become ready: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return cmd, nil
}
