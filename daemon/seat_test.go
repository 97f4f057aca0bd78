package daemon

import (
	"testing"

	"github.com/shmd/shmd/shm"
)

// A seat is given out again only after all others that are free, with another
// generation, and never while it is being swept.
func TestSeatTable(t *testing.T) {
	var table seatTable
	take := func(want uint16, generation uint32) {
		t.Helper()
		number, g, ok := table.take(3)
		if !ok || number != want || g != generation {
			t.Fatalf("took seat %d generation %d (%v), want %d generation %d", number, g, ok, want, generation)
		}
		table.taken[number] = &seat{number: number}
	}
	release := func(number uint16) {
		table.sweeping++
		table.release(number)
	}
	take(1, 1)
	take(2, 1)
	release(1)
	take(3, 1) // the one that was never used is free for longest
	release(3)
	freed := table.wait()
	take(1, 2)
	release(2)
	select {
	case <-freed:
	default:
		t.Error("whoever waits for a seat was not told")
	}
	take(3, 2)
	take(2, 2)
	if _, _, ok := table.take(3); ok {
		t.Error("a fourth seat of three")
	}
}

func TestSeatGenerationWraps(t *testing.T) {
	var table seatTable
	number, _, _ := table.take(1)
	table.generations[number] = shm.GenerationMax
	table.sweeping++
	table.release(number)
	if _, generation, ok := table.take(1); !ok || generation != 1 {
		t.Errorf("generation %d (%v) follows the last, want 1: 0 would be nobody", generation, ok)
	}
}
