package shmd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The table against a map: ids are unique, also around the end of the numbers, and each
// finds its call, in whatever order answers come.
func TestCalls(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var table calls
	want := make(map[uint32]*call)
	last := uint32(math.MaxUint32 - 500)
	for step := range 20_000 {
		grows := step/2500%2 == 0
		if len(want) == 0 || random.IntN(8) < 3 == !grows {
			c := new(call)
			table.add(c, last)
			if want[c.id] != nil || c.id-last > uint32(2*len(want)+1) {
				t.Fatalf("step %d: the id after %d is %d", step, last, c.id)
			}
			last, want[c.id] = c.id, c
			if !table.has(c) {
				t.Fatalf("step %d: call %d is not under way", step, c.id)
			}
			continue
		}
		id := last - random.Uint32N(300)
		if random.IntN(4) == 0 {
			for id = range want { // an old one
				break
			}
		}
		got := table.take(id)
		if got != want[id] {
			t.Fatalf("step %d: another call %d", step, id)
		}
		delete(want, id)
		if got != nil && table.has(got) || table.count != len(want) {
			t.Fatalf("step %d: %d calls under way, want %d without %d", step, table.count, len(want), id)
		}
	}
	for _, c := range table.takeAll() {
		if want[c.id] != c {
			t.Errorf("call %d is not under way", c.id)
		}
		delete(want, c.id)
	}
	if len(want) != 0 || table.count != 0 || table.take(last) != nil || table.has(new(call)) {
		t.Errorf("%d calls are left", len(want))
	}
}
