package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/shmd/shmd/shm"
)

// segmentPrefix is how the kernel names segments in /proc.
const segmentPrefix = "/memfd:shmd-"

// Segment looks at the shared bytes of one object, past everybody, through the
// daemon's descriptor. It outlives the daemon.
type Segment struct {
	id   uint64
	file *os.File
}

// Segment opens the segment of an object, by id, until the test ends.
func (d *Daemon) Segment(id uint64) *Segment {
	d.t.Helper()
	segments, err := d.segments(id)
	if err != nil {
		d.t.Fatal(err)
	}
	if len(segments) == 0 {
		d.t.Fatalf("the daemon has no segment of object %d", id)
	}
	for _, s := range segments {
		d.t.Cleanup(s.close)
	}
	return segments[0]
}

// segments opens those of one object, or of all if the id is 0.
func (d *Daemon) segments(id uint64) ([]*Segment, error) {
	var all []*Segment
	var errs []error
	for _, fd := range d.fds() {
		number, target, _ := strings.Cut(fd, " ")
		name, ours := strings.CutPrefix(target, segmentPrefix)
		if !ours || strings.HasPrefix(name, "side-") { // of a queue's long messages: no header
			continue
		}
		var which uint64
		if _, err := fmt.Sscanf(name, "%d", &which); err != nil {
			errs = append(errs, fmt.Errorf("descriptor %q: %w", fd, err))
			continue
		}
		if id != 0 && which != id {
			continue
		}
		f, err := os.Open(fmt.Sprintf("/proc/%d/fd/%s", d.PID(), number))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, &Segment{which, f})
	}
	return all, errors.Join(errs...)
}

func (s *Segment) close() { s.file.Close() }

// Scribble writes over the object, as somebody of its owner's user can who goes past
// every library.
func (s *Segment) Scribble(offset int64, value any) error {
	path := fmt.Sprintf("/proc/self/fd/%d", s.file.Fd())
	if err := os.Chmod(path, 0o600); err != nil { // it is nobody else's to be opened
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return binary.Write(io.NewOffsetWriter(f, offset), binary.LittleEndian, value)
}

// Image is a copy of all bytes; nothing stands still meanwhile.
func (s *Segment) Image() ([]byte, error) {
	about, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	image := make([]byte, about.Size())
	_, err = s.file.ReadAt(image, 0)
	return image, err
}

// Page is a copy of the front of page 0; nothing stands still meanwhile.
func (s *Segment) Page() (*shm.Page, error) {
	page := new(shm.Page)
	err := binary.Read(io.NewSectionReader(s.file, 0, shm.PageSize), binary.LittleEndian, page)
	return page, err
}

// Waiting adds up how many threads say that they sleep in the object.
func (s *Segment) Waiting() (uint64, error) {
	page, err := s.Page()
	if err != nil {
		return 0, err
	}
	cells := make([]shm.SeatCell, page.Header.SeatsMax+1)
	reader := io.NewSectionReader(s.file, int64(page.Header.SeatsOffsetBytes), int64(binary.Size(cells)))
	if err := binary.Read(reader, binary.LittleEndian, cells); err != nil {
		return 0, err
	}
	sum := uint64(0)
	for _, c := range cells {
		sum += uint64(c.Waiting)
	}
	return sum, nil
}

// WaitingOf is how many threads of one seat say that they sleep in the object.
func (s *Segment) WaitingOf(seat uint16) (uint32, error) {
	page, err := s.Page()
	if err != nil {
		return 0, err
	}
	var cell shm.SeatCell
	err = s.read(int64(page.Header.SeatsOffsetBytes)+int64(binary.Size(cell))*int64(seat), &cell)
	return cell.Waiting, err
}

// atRest says what is wrong with an object that nobody uses.
func (s *Segment) atRest() error {
	page, err := s.Page()
	if err != nil {
		return err
	}
	waiting, err := s.Waiting()
	if err != nil {
		return err
	}
	header := &page.Header
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("object %d: "+format, append([]any{s.id}, args...)...))
		}
	}
	check(header.Magic == shm.Magic && header.ABIVersion == shm.ABIVersion && header.Fingerprint == shm.ABIFingerprint,
		"the header is %+v", header)
	check(header.ObjectID == s.id, "it says that it is %d", header.ObjectID)
	if header.State == uint32(shm.StateRemoved) {
		return errors.Join(errs...) // destroyed, and kept by what it guards
	}
	check(header.State == uint32(shm.StateLive), "its state is %d", header.State)
	check(waiting == 0, "%d threads still sleep, it says", waiting)
	checkReserved(check, header.Reserved0[:], header.Reserved1[:])
	switch shm.Kind(header.Kind) {
	case shm.KindSemaphore:
		err = s.semaphoreAtRest(header, check)
	case shm.KindQueue:
		err = s.queueAtRest(header, check)
	case shm.KindEvent:
		err = s.eventAtRest(header, check)
	case shm.KindCondition:
		err = s.conditionAtRest(header, check)
	case shm.KindBarrier:
		err = s.barrierAtRest(header, check)
	case shm.KindRWLock:
		err = s.rwlockAtRest(header, check)
	case shm.KindStream, shm.KindPipe:
		err = s.ringsAtRest(header, check)
	default:
		lockAtRest(page, check)
	}
	return errors.Join(append(errs, err)...)
}

// lockAtRest checks what a value, an array or a mutex has of its own.
func lockAtRest(page *shm.Page, check func(ok bool, format string, args ...any)) {
	const ownerMask = 1<<30 - 1
	lock := &page.Lock
	check(lock.Word&ownerMask == 0, "its lock word is %#x: seat %d holds it", lock.Word, shm.SeatOf(lock.Word))
	check(lock.Token == 0 && lock.Depth == 0 && lock.WriteDepth == 0,
		"nobody holds its lock, with token %#x, depth %d, write depth %d", lock.Token, lock.Depth, lock.WriteDepth)
	check(page.Sequence.Word&1 == 0, "its sequence word %#x is odd: a bracket is open", page.Sequence.Word)
	check(page.Sequence.Writer == 0, "%#x is still its writer", page.Sequence.Writer)
	checkReserved(check, lock.Reserved[:], page.Sequence.Reserved[:], page.Change.Reserved[:], page.Scalar.Reserved[:])
}

// Validate checks every object that the daemon has: each must be well formed and
// at rest, because no client is left that could use it.
func (d *Daemon) Validate() error {
	segments, err := d.segments(0)
	errs := []error{err}
	for _, s := range segments {
		errs = append(errs, s.atRest())
		s.close()
	}
	return errors.Join(errs...)
}
