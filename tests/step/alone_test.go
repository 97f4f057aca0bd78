package step

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// instructionsSlack is by how much counts may differ, in percent: another compiler makes
// other instructions of the same source.
const instructionsSlack = 20

// alone is what C executes when nobody else wants the object: instructions of the second
// time, from the call in the player to its return, with what the player does to tell numbers
// and to look at messages. Clocks say nothing on a machine that does something else too;
// these numbers do. They were counted on amd64, with gcc 12.
var alone = []struct {
	kind    string
	options wire.CreateOptions
	prepare []string
	// In turn, with how many instructions each has.
	operations []string
	want       []int
}{
	{"mutex", wire.CreateOptions{}, nil, []string{"mutex lock -1", "mutex unlock"}, []int{38, 45}},
	{"value", wire.CreateOptions{Code: new("q")}, nil,
		[]string{"value store 5", "value load", "value add 1"}, []int{42, 44, 99}},
	{"semaphore", wire.CreateOptions{Initial: new(uint32(1))}, nil,
		[]string{"semaphore acquire 1 -1", "semaphore release 1"}, []int{31, 38}},
	{"semaphore", wire.CreateOptions{Initial: new(uint32(1)), Undo: new(true)}, nil,
		[]string{"semaphore acquire 1 -1", "semaphore release 1"}, []int{126, 124}},
	{"event", wire.CreateOptions{}, nil, []string{"event set", "event wait 0", "event reset"}, []int{39, 29, 30}},
	{"rwlock", wire.CreateOptions{}, nil,
		[]string{"rwlock read -1", "rwlock unread", "rwlock write -1", "rwlock unwrite"}, []int{43, 36, 714, 64}},
	{"queue", wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(64)), SlotSize: new(uint32(64))},
		[]string{"queue make 1 64"},
		[]string{"queue put -1", "queue take -1", "queue put -1", "queue lease -1", "queue ack"},
		[]int{195, 183, 195, 240, 179}},
	{"stream", wire.CreateOptions{Capacity: new(uint32(4096))},
		[]string{"stream produce", "stream consume", "stream make 1 64"},
		[]string{"stream send -1", "stream recv -1"}, []int{107, 372}},
}

// TestInstructionsAlone counts the instructions of what nobody else wants.
func TestInstructionsAlone(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the counts are those of amd64")
	}
	harness.NoLeaks(t)
	s := newStage(t, inC, "", instructions{}, newTally())
	for _, each := range alone {
		name := fmt.Sprint("counted-", s.objects)
		s.objects++
		if _, err := s.create(name, each.kind, each.options); err != nil {
			t.Fatal(err)
		}
		p, err := spawn(s.image.path, s.Socket)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range append([]string{"warm " + warmName, each.kind + " open " + name}, each.prepare...) {
			if err := p.do(line); err != nil {
				t.Fatal(err)
			}
		}
		for turn := range 2 {
			for i, line := range each.operations {
				n, err := countInstructions(p, s.image, line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if turn == 0 {
					continue
				}
				want := each.want[i]
				t.Logf("%4d %s", n, line)
				if 100*max(n-want, want-n) > instructionsSlack*want {
					t.Errorf("%s takes %d instructions, want %d", line, n, want)
				}
			}
		}
		p.kill()
	}
}

// countInstructions lets a process do a line, one instruction at a time.
func countInstructions(p *process, i *image, line string) (int, error) {
	v, err := seize(p, i)
	if err != nil {
		return 0, err
	}
	over, err := v.advance(line, 100_000, nil)
	if err != nil || !over {
		return 0, fmt.Errorf("it is not over after %d instructions: %w", len(v.trace), err)
	}
	answer, err := v.end()
	if err == nil && answer[:2] != "ok" {
		err = fmt.Errorf("the answer is %q", answer)
	}
	return len(v.trace) - 1, err
}
