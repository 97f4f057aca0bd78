package journal

import (
	"errors"
	"os"
	"slices"
	"sync"

	mmap "github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// sizeMin is the size of a journal of little.
const sizeMin = 64 << 10

// Journal appends to a journal. Safe for concurrent use; nil journals nothing.
type Journal struct {
	fingerprint uint64               // immutable
	publish     func(*os.File) error // immutable; makes a new file the journal
	failed      func(err error)      // immutable; told of trouble
	point       func(name string)    // immutable; where a test may kill the daemon

	mu      sync.Mutex
	file    *os.File  // protected by mu
	mem     mmap.MMap // protected by mu
	end     int       // protected by mu; where the next record goes
	encoder *encoder  // protected by mu
	// backlog are payloads for which there was no memory; protected by mu.
	backlog [][]byte
}

// Options of a Journal.
type Options struct {
	// Fingerprint names the layout of what the records speak of.
	Fingerprint uint64
	// Publish makes a file the journal, in place of the one before. It borrows the file.
	Publish func(*os.File) error
	// Failed is told why the journal lacks records, until one that has them all is
	// published.
	Failed func(err error)
	// Point is called at named points; nil = no.
	Point func(name string)
}

// New publishes a journal of a state.
func New(o Options, state *State) (*Journal, error) {
	if o.Point == nil {
		o.Point = func(string) {}
	}
	j := &Journal{fingerprint: o.Fingerprint, publish: o.Publish, failed: o.Failed, point: o.Point,
		encoder: newEncoder()}
	if err := j.replace(state); err != nil {
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
		j.append(j.encoder.payload(r))
	}
}

func (j *Journal) append(payload []byte) {
	if j.backlog == nil && j.end+frameSize(len(payload)) <= len(j.mem) {
		word := writeFrame(j.mem, j.end, payload)
		j.point("append")
		storeWord(j.mem, j.end, word)
		j.end += frameSize(len(payload))
		j.point("appended")
		return
	}
	payload = slices.Clone(payload) // the encoder is needed meanwhile
	if j.backlog == nil {
		if err := j.compact(nil); err == nil {
			j.end = appendFrame(j.mem, j.end, payload)
			return
		} else {
			j.failed(err)
		}
		storeWord(j.mem, brokenAt, 1)
	}
	// What cannot be written is kept, and the journal says that it is not whole.
	j.backlog = append(j.backlog, payload)
	if err := j.compact(j.backlog); err == nil {
		j.backlog = nil
	}
}

// compact replaces the journal by a shorter one, with more records behind it.
func (j *Journal) compact(more [][]byte) error {
	broken := loadWord(j.mem, brokenAt)
	storeWord(j.mem, brokenAt, 0) // Replay refuses it, and nobody else looks before it says so again
	state, _, err := Replay(j.mem, j.fingerprint)
	storeWord(j.mem, brokenAt, broken)
	for _, payload := range more {
		if err != nil {
			break
		}
		var r Record
		if r, err = decode(payload); err == nil {
			err = state.Apply(r)
		}
	}
	if err != nil {
		return err
	}
	return j.replace(state)
}

// replace publishes a journal of the state and writes to that from now on.
func (j *Journal) replace(state *State) error {
	payloads, size := make([][]byte, 0, 1+len(state.Clients)+2*len(state.Objects)), 0
	for r := range state.Records {
		payload := slices.Clone(j.encoder.payload(r))
		payloads, size = append(payloads, payload), size+frameSize(len(payload))
	}
	file, mem, err := create(max(sizeMin, (headerSize+2*size+payloadMax/16+headerSize-1)&^(headerSize-1)))
	if err != nil {
		return err
	}
	at := headerSize
	for _, payload := range payloads {
		at = appendFrame(mem, at, payload)
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
	j.file, j.mem, j.end = file, mem, at
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
