package abi

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/shmd/shmd/shm"
)

// readers is the geometry of an rwlock. The cells of seats up to 50 lie in page 0.
func readers(scene) (shm.Geometry, error) { return shm.NewRWLockGeometry(shm.SeatsDefault) }

func rwOwner(seat uint16) *shm.RWOwner { return shm.MakeRWOwner(owner(seat).Word, 9) }

func readLock(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		_, err := s.RWLock().ReadLock(background, nil, rwOwner(seat), 0)
		check(t, err)
	}
}

func writeLock(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		_, err := s.RWLock().WriteLock(background, nil, rwOwner(seat), 0)
		check(t, err)
	}
}

func wantsToRead(seat uint16) func(*testing.T, *shm.Segment) {
	return sleeping(seat, func(ctx context.Context, s *shm.Segment, p *shm.Parker) {
		_, _ = s.RWLock().ReadLock(ctx, p, rwOwner(seat), -1)
	})
}

func wantsToWrite(seat uint16) func(*testing.T, *shm.Segment) {
	return sleeping(seat, func(ctx context.Context, s *shm.Segment, p *shm.Parker) {
		_, _ = s.RWLock().WriteLock(ctx, p, rwOwner(seat), -1)
	})
}

func saidOfRWLock(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.RWLockLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("rwlock.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	st := s.RWLock().Status()
	say("writer", uint64(st.Writer))
	say("seat", uint64(st.Seat))
	say("held", bit(st.Held))
	say("preparing", bit(st.Preparing))
	say("wanted", bit(st.Wanted))
	say("inconsistent", bit(st.Inconsistent))
	say("waiters", bit(st.Waiters))
	say("removed", bit(st.Removed))
	say("readers", uint64(st.Readers))
	want, removed := uint64(0), uint64(0)
	for at := s.Geometry().CellsOffset; at < shm.PageSize; at += constants()["DATA_ALIGN"] {
		var cell shm.ReaderCell
		read(t, s, at, &cell)
		want += uint64(cell.Word) & constants()["READER_WANT_MASK"] / constants()["READER_WANT_UNIT"]
		removed += bit(uint64(cell.Word)&constants()["READER_REMOVED"] != 0)
	}
	say("want", want)
	say("removed_cells", removed)
	return all
}
