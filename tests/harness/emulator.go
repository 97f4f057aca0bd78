package harness

import (
	"os"
	"os/exec"
	"strings"
)

// Emulator is what runs the C programs, by SHMD_EMULATOR: "qemu-aarch64" for those of
// another machine, which share memory with the daemon of this one all the same. "" =
// nothing, they are of this machine.
func Emulator() string { return os.Getenv("SHMD_EMULATOR") }

// Command is the command of a C program, with the emulator if there is one.
func Command(path string, args ...string) *exec.Cmd {
	words := append(append(strings.Fields(Emulator()), path), args...)
	return exec.Command(words[0], words[1:]...)
}
