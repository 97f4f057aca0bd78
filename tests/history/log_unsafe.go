package history

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// entrySize is the size of an Entry, in C as well.
const entrySize = int(unsafe.Sizeof(Entry{}))

// Log is the script and the record of one client: a file of entries that two
// processes have mapped, the director's and the client's. It is no object of shmd, so
// that no mistake of shmd's can spoil it.
type Log struct {
	memory  mmap.MMap
	entries []Entry // points into memory
}

// CreateLog makes the file of a log with room for n entries.
func CreateLog(path string, n int) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return mapLog(f, f.Truncate(int64(n*entrySize)))
}

// OpenLog opens a log that the director has made.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return mapLog(f, nil)
}

// mapLog maps the file, unless there was an error, and closes it.
func mapLog(f *os.File, err error) (*Log, error) {
	var memory mmap.MMap
	if err == nil {
		memory, err = mmap.Map(f, mmap.RDWR, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("log %s: %w", f.Name(), err)
	}
	n := len(memory) / entrySize
	return &Log{memory, unsafe.Slice((*Entry)(unsafe.Pointer(unsafe.SliceData(memory))), n)}, nil
}

// Close unmaps it.
func (l *Log) Close() error { return l.memory.Unmap() }

// Len is how many entries it has room for.
func (l *Log) Len() int { return len(l.entries) }

// Write writes what is to be done. The client must be at rest.
func (l *Log) Write(first int, script []Entry) { copy(l.entries[first:], script) }

// Read copies an entry, of which the client may be adding the rest: what came of it
// is only there if it has returned.
func (l *Log) Read(i int) Entry {
	e := &l.entries[i]
	call, returned := atomic.LoadInt64(&e.Call), atomic.LoadInt64(&e.Return)
	read := Entry{Call: call, Return: returned, Op: e.Op, Object: e.Object, N: e.N, Timeout: e.Timeout,
		Argument: e.Argument, Desired: e.Desired}
	if call != 0 {
		read.Result = atomic.LoadInt64(&e.Result)
		for i := range e.Numbers {
			read.Numbers[i] = atomic.LoadInt64(&e.Numbers[i])
		}
	}
	if returned != 0 {
		read.Status = atomic.LoadInt32(&e.Status)
	}
	if returned != 0 || call != 0 && e.Op.aboutLeases() {
		read.Extra = atomic.LoadUint32(&e.Extra)
	}
	return read
}

// begin and end are the client's stamps.
func (e *Entry) begin() { atomic.StoreInt64(&e.Call, Now()) }
func (e *Entry) end()   { atomic.StoreInt64(&e.Return, Now()) }
