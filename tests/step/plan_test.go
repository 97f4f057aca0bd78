package step

import (
	"os"
	"strconv"
	"testing"
)

// plan says at which boundaries victims die.
type plan struct {
	stride int // at every stride-th of those that count; 1 = at each
	offset int // the first of them
}

// strideVariable asks for a stride: 1 is the proof, and takes minutes.
const strideVariable = "SHMD_CRASH_STRIDE"

// everyOr is the stride asked for; if none is, that of the short form.
func everyOr(t *testing.T, short int) (stride int, full bool) {
	t.Helper()
	text := os.Getenv(strideVariable)
	if text == "" {
		return short, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no stride", strideVariable, text)
	}
	return n, true
}

// choose takes every stride-th.
func (p plan) choose(of []int) []int {
	var chosen []int
	for i := p.offset % p.stride; i < len(of); i += p.stride {
		chosen = append(chosen, of[i])
	}
	return chosen
}

// boundaries are the places of a trace where a death may differ from another: all,
// but that an instruction which is repeated (a spin, a copy by bytes) counts at its
// first three passes, and then at each power of two.
func boundaries(trace []place) []int {
	passes := make(map[place]int)
	var chosen []int
	for i, where := range trace {
		passes[where]++
		if n := passes[where]; n <= 3 || n&(n-1) == 0 {
			chosen = append(chosen, i)
		}
	}
	return chosen
}
