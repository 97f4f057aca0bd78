package keeper

import "golang.org/x/sys/unix"

// setThreadUID makes the calling thread, and no other of the process, another user's.
func setThreadUID(uid uintptr) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno
	}
	return nil
}
