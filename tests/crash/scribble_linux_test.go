package crash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// scrawl is an object that is scribbled over.
type scrawl struct {
	all, front, lines []uint64 // words: all, those before the data, those of the kind
	fresh             []uint64 // what was in front when it was opened
	state             *uint32
}

func openScrawl(name string) (*scrawl, error) {
	_, a, fd, err := attachRaw(name, wire.AccessReadWrite) // connected until the end of the process
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	memory, err := unix.Mmap(fd, 0, int(a.SegmentSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	s := &scrawl{all: unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)}
	s.front = s.all[kindOffset/8 : a.DataOffset/8]
	s.lines = s.front[:kindWords]
	s.fresh = slices.Clone(s.front)
	s.state = (*uint32)(unsafe.Pointer(&memory[unsafe.Offsetof(shm.Header{}.State)]))
	return s, nil
}

// kindWords is more words than the lines of a queue, or of two rings, have.
const kindWords = 64

func (m *messenger) scrawl(names []string) string {
	for _, name := range names {
		s, err := openScrawl(name)
		if err != nil {
			return outcome(err)
		}
		m.scrawls = append(m.scrawls, s)
	}
	return outcome(nil)
}

// scribble writes random words everywhere in some objects, until it is killed. Now and then
// the words in front of the data are again what they were when it opened them, and it rests
// a moment: else nobody would come far.
func scribble(scrawls []*scrawl, seed string) string {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err.Error()
	}
	fmt.Println("ok")
	for random := rand.New(rand.NewPCG(n, 0)); ; {
		s := scrawls[random.IntN(len(scrawls))]
		if random.IntN(8) == 0 {
			for i, word := range s.fresh {
				atomic.StoreUint64(&s.front[i], word)
			}
		}
		for range random.IntN(1 << random.IntN(14)) {
			_ = atomic.LoadUint32(s.state) // it rests
		}
		where := [][]uint64{s.lines, s.lines, s.front, s.all}[random.IntN(4)]
		for range 1 + random.IntN(4) {
			at := &where[random.IntN(len(where))]
			if unsafe.Pointer(at) == unsafe.Pointer(s.state) {
				continue // REMOVED would be believed, by those who shall go on until it is true
			}
			atomic.StoreUint64(at, randomWord(random, atomic.LoadUint64(at)))
		}
		atomic.StoreUint32(s.state, uint32(shm.StateLive)) // or nobody would look any further
	}
}

// randomWord is what may mean something where there was another word.
func randomWord(random *rand.Rand, before uint64) uint64 {
	word := random.Uint64()
	switch random.IntN(6) {
	case 0:
		return 0
	case 1:
		return word & 0xf0000000f // small numbers are the worse ones
	case 2:
		return word & 0x700000fff // the type and the length of a record
	case 3:
		return word & 0xffff // a position of not long ago
	case 4:
		return before + 1<<random.IntN(64)
	}
	return word
}
