package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	// elementCount fits the second cache, so that instructions are compared and
	// not memory. Below the size of the first cache the mean of a walk depends
	// on where the kernel happens to place pages, of any memory, by up to 15 %.
	elementCount = 16 << 10
	elementLoops = 5_000
	// elementLimit is 1 and what two runs of the same code may differ by.
	elementLimit = 1.05
)

// sum and scale see a slice and cannot know whose memory it is.
//
//go:noinline
func sum(s []int32) (total int32) {
	for _, v := range s {
		total += v
	}
	return total
}

//go:noinline
func scale(s []int32) {
	for i := range s {
		s[i] = s[i]*3 + 1
	}
}

// elements compares memory of an array with ordinary memory.
func elements(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		array, err := shmd.CreateArray[int32](ctx, s.client, "bench/array", shmd.ArrayOptions{Length: elementCount})
		if err != nil {
			return err
		}
		return errors.Join(goElements(b, array.View()), cElements(ctx, b, s), array.Close())
	})
}

func goElements(b *bench, view []int32) error {
	plain := make([]int32, len(view))
	loops := b.scaled(elementLoops)
	for _, kind := range []struct {
		name string
		walk func(s []int32)
	}{
		{"Go: read View(), []int32", func(s []int32) { sum(s) }},
		{"Go: update View(), []int32", scale},
	} {
		p, err := interleave(b.rounds(),
			func() (float64, error) { return timeWalk(plain, loops, kind.walk), nil },
			func() (float64, error) { return timeWalk(view, loops, kind.walk), nil })
		if err != nil {
			return err
		}
		w := compared(kind.name, "ns/element", p, elementLimit)
		w.Note = "one function walks both: the instructions are the same"
		b.report.add(w)
	}
	return nil
}

func timeWalk(s []int32, loops int, walk func([]int32)) float64 {
	begin := time.Now()
	for range loops {
		walk(s)
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(loops*len(s))
}

func cElements(ctx context.Context, b *bench, s *service) error {
	c, err := startC(ctx, "element", s.socket, "bench/array")
	if err != nil {
		return err
	}
	for _, walk := range []string{"read", "update"} {
		loops := b.scaled(elementLoops)
		p, err := interleave(b.rounds(),
			func() (float64, error) { return c.Number("%s-plain %d", walk, loops) },
			func() (float64, error) { return c.Number("%s-shared %d", walk, loops) })
		if err != nil {
			return errors.Join(err, c.Stop())
		}
		w := compared(fmt.Sprintf("C: %s shmd_array_data, int *", walk), "ns/element", p, elementLimit)
		w.Note = "one function walks both: the instructions are the same"
		b.report.add(w)
	}
	return c.Stop()
}
