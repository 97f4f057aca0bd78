package journal

import (
	"cmp"
	"errors"
	"os"
	"sync"

	mmap "github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

const (
	// sizeMin is the default of Options.SizeMin.
	sizeMin = 1 << 20
	// spareFactor is how often a new journal has room for what is in it.
	spareFactor = 4
)

// Journal appends to a journal. Safe for concurrent use; nil journals nothing.
type Journal struct {
	fingerprint uint64               // immutable
	publish     func(*os.File) error // immutable; makes a new file the journal
	failed      func(err error)      // immutable; told of trouble
	sizeMin     int                  // immutable
	point       func(name string)    // immutable; where a test may kill the daemon

	mu      sync.Mutex
	file    *os.File  // protected by mu
	mem     mmap.MMap // protected by mu
	end     int       // protected by mu; where the next record goes
	encoder *encoder  // protected by mu
	state   *State    // protected by mu; what all records say; nil = a record contradicted it
	lacks   bool      // protected by mu; the file does not have them all
}

// Options of a Journal.
type Options struct {
	// Fingerprint names the layout of what the records speak of.
	Fingerprint uint64
	// SizeMin is the size in bytes of a journal of little, of which only what is written
	// takes memory; 0 = 1 MiB.
	SizeMin int
	// Publish makes a file the journal, in place of the one before. It borrows the file.
	Publish func(*os.File) error
	// Failed is told why the journal lacks records, until one that has them all is
	// published; for good, if a record contradicts what was said before.
	Failed func(err error)
	// Point is called at named points; nil = no.
	Point func(name string)
}

// New publishes a journal of a state, which stays the caller's.
func New(o Options, state *State) (*Journal, error) {
	if o.Point == nil {
		o.Point = func(string) {}
	}
	j := &Journal{fingerprint: o.Fingerprint, publish: o.Publish, failed: o.Failed, point: o.Point,
		sizeMin: cmp.Or(o.SizeMin, sizeMin), encoder: newEncoder(), state: NewState()}
	for r := range state.Records {
		if err := j.state.Apply(r); err != nil {
			return nil, status.Wrap(status.Corrupt, "journal", err, "the state")
		}
	}
	if err := j.replace(); err != nil {
		return nil, err
	}
	return j, nil
}

// Load reads the journal in a file, which it borrows. Errors as Replay.
func Load(file *os.File, fingerprint uint64) (*State, error) {
	mem, err := mapFile(file, mmap.RDONLY)
	if err != nil {
		return nil, err
	}
	state, _, err := Replay(mem, fingerprint)
	return state, errors.Join(err, mem.Unmap())
}

func mapFile(file *os.File, prot int) (mmap.MMap, error) {
	info, err := file.Stat()
	if err == nil && info.Size() == 0 {
		return nil, status.New(status.Corrupt, "replay", "the journal is empty")
	}
	var mem mmap.MMap
	if err == nil {
		mem, err = mmap.Map(file, prot, 0)
	}
	if err != nil {
		return nil, status.Wrap(status.System, "map", err, "the journal")
	}
	return mem, nil
}

// Append commits a record, whatever happens to the daemon afterwards. What it says is
// true already, or becomes so before anybody is told.
func (j *Journal) Append(records ...Record) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		j.append(r)
	}
}

func (j *Journal) append(r Record) {
	if j.state == nil {
		return
	}
	if err := j.state.Apply(r); err != nil {
		// A bug of the daemon. A successor that believed this journal would do harm.
		j.lack(status.Wrap(status.Corrupt, "journal", err, "a record of kind %d", r.op()))
		j.state = nil
		return
	}
	if !j.lacks {
		payload := j.encoder.payload(r)
		if j.end+frameSize(len(payload)) <= len(j.mem) {
			word := writeFrame(j.mem, j.end, payload)
			j.point("append")
			storeWord(j.mem, j.end, word)
			j.end += frameSize(len(payload))
			j.point("appended")
			return
		}
	}
	switch err := j.replace(); {
	case err == nil:
		j.lacks = false
	case !j.lacks:
		j.lack(err)
	}
}

// lack makes the file say that it is not whole.
func (j *Journal) lack(why error) {
	j.lacks = true
	storeWord(j.mem, brokenAt, 1)
	j.failed(why)
}

// replace publishes a journal of the state and writes to that from now on.
func (j *Journal) replace() error {
	var records []byte // appended frames
	for r := range j.state.Records {
		payload := j.encoder.payload(r)
		at := len(records)
		records = append(records, make([]byte, frameSize(len(payload)))...)
		appendFrame(records, at, payload)
	}
	file, mem, err := create(max(j.sizeMin, (headerSize+spareFactor*len(records)+headerSize-1)&^(headerSize-1)))
	if err != nil {
		return err
	}
	for at := 0; at < len(records); {
		next := at + frameSize(int(uint32(loadWord(records, at))))
		copy(mem[headerSize+at:], records[at:next])
		at = next
		j.point("compact")
	}
	storeWord(mem, formatAt, format)
	storeWord(mem, fingerprintAt, j.fingerprint)
	storeWord(mem, magicAt, magic)
	if err := j.publish(file); err != nil {
		return errors.Join(err, mem.Unmap(), file.Close())
	}
	j.point("compacted")
	if j.mem != nil {
		_ = j.mem.Unmap() // nothing can be done about it, and nothing refers to it
		j.file.Close()
	}
	j.file, j.mem, j.end = file, mem, headerSize+len(records)
	return nil
}

// create makes the memfd of a journal; no exec, no other uid.
func create(size int) (*os.File, mmap.MMap, error) {
	fd, err := unix.MemfdCreate("journal.shmd", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, status.Wrap(status.System, "journal", err, "memfd_create")
	}
	file := os.NewFile(uintptr(fd), "memfd:journal.shmd")
	err = errors.Join(unix.Fchmod(fd, 0o600), unix.Ftruncate(fd, int64(size)))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		err = status.Wrap(status.System, "journal", err, "a memfd of %d bytes", size)
		return nil, nil, errors.Join(err, file.Close())
	}
	mem, err := mapFile(file, mmap.RDWR)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, mem, nil
}

// Close unmaps the journal; the keeper still has it.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	err := errors.Join(j.mem.Unmap(), j.file.Close())
	j.mem = nil
	return err
}
