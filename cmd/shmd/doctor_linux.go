package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/daemon"
)

func (machine) release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(name.Release[:])
}

func (machine) sealedMemfd() error { return probeMemfd(unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING) }

func (machine) noexecSeal() error {
	return probeMemfd(unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_NOEXEC_SEAL)
}

func probeMemfd(flags int) error {
	fd, err := unix.MemfdCreate("shmd-doctor", flags)
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return errors.Join(err, unix.Close(fd))
}

func (machine) pidfdOpen() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (machine) futexWaitv() error {
	// No words are none to wait for: EINVAL from a kernel that has the call.
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX_WAITV, 0, 0, 0, 0, 0, 0)
	if errno == unix.EINVAL {
		return nil
	}
	return errno
}

func (machine) peerPIDFD() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fd, err := unix.GetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		err = unix.Close(fd)
	}
	return errors.Join(err, unix.Close(pair[0]), unix.Close(pair[1]))
}

func (machine) descriptors() (soft, hard uint64, err error) {
	var limit unix.Rlimit
	err = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, limit.Max, err
}

func (machine) mapsMax() (uint64, error) {
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

func (machine) memory() (bytes uint64, err error) { return daemon.MemoryLimit() }
