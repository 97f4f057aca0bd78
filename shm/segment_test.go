package shm

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

func unmap(t *testing.T, s *Segment) {
	if err := s.Unmap(); err != nil {
		t.Error(err)
	}
}

func TestSegmentIsSealedAndShared(t *testing.T) {
	g, err := NewGeometry(KindArray, ctypes.CodeDouble, []uint64{3, 5}, 0, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	g.ID = 42
	s, f, err := CreateSegment(g, SegmentOptions{Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer unmap(t, s)
	if s.State() != StateCreating {
		t.Errorf("born %v", s.State())
	}
	s.Publish()
	if err := f.Truncate(0); err == nil {
		t.Error("the memfd can shrink: every client could be killed by SIGBUS")
	}
	other, err := MapSegment(f, g, false)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(t, other)
	if err := s.Array(nil).Store(14, 7); err != nil {
		t.Fatal(err)
	}
	if v, err := other.Array(nil).Load(14); v != 7 || err != nil {
		t.Errorf("another mapping sees %d, %v", v, err)
	}
	r, err := OpenReadOnly(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := MapSegment(r, g, false); err == nil {
		t.Error("a read-only descriptor was mapped for writing")
	}
	ro, err := MapSegment(r, g, true)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(t, ro)
	if err := ro.Array(nil).Store(0, 1); err != status.Permission {
		t.Errorf("store through a read-only mapping: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&0o777 != 0o400 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
}

func TestMapRefusesForeignDescriptors(t *testing.T) {
	g, err := NewGeometry(KindValue, ctypes.CodeInt, nil, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.MemfdCreate("unsealed", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	unsealed := os.NewFile(uintptr(fd), "unsealed")
	defer unsealed.Close()
	s, sealed, err := CreateSegment(g, SegmentOptions{Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(t, s)
	defer sealed.Close()
	wrong := g
	wrong.SegmentSize *= 2
	for name, c := range map[string]struct {
		f *os.File
		g Geometry
	}{"file": {file, g}, "unsealed": {unsealed, g}, "size": {sealed, wrong}} {
		if _, err := MapSegment(c.f, c.g, false); !errors.Is(err, status.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGeometryRefusesNonsense(t *testing.T) {
	cases := []struct {
		name  string
		kind  Kind
		code  ctypes.Code
		shape []uint64
		flags Flags
		seats uint32
		want  status.Code
	}{
		{"no seats", KindMutex, 0, nil, 0, 0, status.Invalid},
		{"too many seats", KindMutex, 0, nil, 0, 4095, status.Invalid},
		{"unknown kind", 99, 0, nil, 0, 1, status.Invalid},
		{"unknown flag", KindMutex, 0, nil, 1 << 20, 1, status.Invalid},
		{"recursive unlock_any", KindMutex, 0, nil, FlagRecursive | FlagUnlockAny, 1, status.Invalid},
		{"typed mutex", KindMutex, ctypes.CodeInt, nil, 0, 1, status.Invalid},
		{"no code", KindValue, 0, nil, 0, 1, status.BadType},
		{"no shape", KindArray, ctypes.CodeInt, nil, 0, 1, status.Invalid},
		{"zero dimension", KindArray, ctypes.CodeInt, []uint64{4, 0}, 0, 1, status.Invalid},
		{"nine dimensions", KindArray, ctypes.CodeInt, make([]uint64, 9), 0, 1, status.Invalid},
		{"2^63 elements", KindArray, ctypes.CodeInt, []uint64{1 << 63}, 0, 1, status.NoSpace},
		{"overflowing product", KindArray, ctypes.CodeInt, []uint64{1 << 40, 1 << 40}, 0, 1, status.NoSpace},
		{"two locks", KindArray, ctypes.CodeInt, []uint64{1}, FlagLockNone | FlagLockForeign, 1, status.Invalid},
	}
	for _, c := range cases {
		if _, err := NewGeometry(c.kind, c.code, c.shape, c.flags, c.seats); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want.Name())
		}
	}
	g, err := NewGeometry(KindArray, ctypes.CodeInt, []uint64{1000}, 0, SeatsLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Validate(); err != nil {
		t.Error(err)
	}
	g.DataOffset += 8
	if err := g.Validate(); !errors.Is(err, status.Version) {
		t.Errorf("a forged offset: %v", err)
	}
}
