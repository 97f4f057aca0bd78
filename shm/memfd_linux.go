package shm

import (
	"os"

	mmap "github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// seals make shrinking impossible (no SIGBUS for anybody), and further seals
// (a client that sealed writes would lock later clients out).
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// sealedFile makes a memfd of size zero bytes, mode 0400 so that another uid cannot
// re-open a read-only descriptor for writing.
func sealedFile(name string, size uint64, o SegmentOptions) (*os.File, error) {
	fd, err := memfdCreate(name, o.WithoutNoexecSeal)
	if err != nil {
		return nil, status.Wrap(status.System, "create", err, "memfd_create")
	}
	f := os.NewFile(uintptr(fd), "memfd:"+name)
	fail := func(what string, err error) (*os.File, error) {
		_ = f.Close()
		return nil, status.Wrap(status.System, "create", err, "%s", what)
	}
	if err := unix.Fchmod(fd, 0o400); err != nil {
		return fail("fchmod", err)
	}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return fail("ftruncate", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fail("sealing", err)
	}
	return f, nil
}

func memfdCreate(name string, withoutNoexecSeal bool) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	if withoutNoexecSeal {
		return unix.MemfdCreate(name, flags)
	}
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// mapSealed verifies seals and size of a descriptor and maps it. A segment that can
// shrink could fault every later access, so one is refused with status.Corrupt.
func mapSealed(f *os.File, size uint64, prot int) (m mmap.MMap, inode uint64, err error) {
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, 0, status.Wrap(status.Corrupt, "map", err, "the descriptor is no memfd")
	}
	if got&seals != seals {
		return nil, 0, status.New(status.Corrupt, "map", "the memfd lacks seals: has %#x, needs %#x", got, seals)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, 0, status.Wrap(status.System, "map", err, "fstat")
	}
	if uint64(st.Size) != size {
		return nil, 0, status.New(status.Corrupt, "map", "the memfd has %d bytes, the object %d", st.Size, size)
	}
	if m, err = mmap.MapRegion(f, int(size), prot, 0, 0); err != nil {
		return nil, 0, status.Wrap(status.System, "map", err, "mmap of %d bytes", size)
	}
	// Core dumps of a client are no place for shared data; advice only.
	_ = unix.Madvise(m, unix.MADV_DONTDUMP)
	return m, st.Ino, nil
}
