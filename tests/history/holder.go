package history

import (
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// holder is what keeps a client's socket, and does nothing with it.
const holder Flavour = "holder"

// lifelineFD is the descriptor, in every client and its children, that ends when the
// director says so (Client.EndChildren) or ends itself.
const lifelineFD = 3

// holdOn keeps what was inherited until the lifeline ends.
func holdOn() { _, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline")) }

// startHolder starts a child that inherits the connection, as one does that is
// started by a program which leaves descriptors open. It ends with the lifeline:
// nobody needs to know who it is.
func startHolder() error {
	var kept []*os.File
	for fd := lifelineFD; fd < 64; fd++ {
		var about unix.Stat_t
		if unix.Fstat(fd, &about) != nil || fd != lifelineFD && about.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(copied), "kept")
		defer f.Close()
		kept = append(kept, f)
	}
	if len(kept) < 2 {
		return status.New(status.Internal, "fork", "no socket to keep")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), flavourVariable+"="+string(holder))
	cmd.ExtraFiles = kept
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
