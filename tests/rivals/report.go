package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// printCase writes what a case came to, as it is known.
func printCase(w io.Writer, r *results, c *caseResult) {
	fmt.Fprintf(w, "  %s\n", c.Setting)
	for _, s := range c.Series {
		if len(s.Values) == 0 {
			fmt.Fprintf(w, "    %-24s - (%s)\n", s.ID, s.Reason)
			continue
		}
		fmt.Fprintf(w, "    %-24s %10.4g %s", s.ID, s.spread().Median, c.Unit)
		if ratio, has := s.ratio(c.of(c.Floor)); has {
			fmt.Fprintf(w, "  %7.2f x floor", ratio.Median)
		}
		if ratio, has := s.ratio(c.of("shmd/C")); has {
			fmt.Fprintf(w, "  %7.2f x shmd", ratio.Median)
		}
		if p := s.Percentiles; p != nil {
			fmt.Fprintf(w, "  p50 %.4g p99 %.4g p99.9 %.4g", p.P50, p.P99, p.P999)
		}
		fmt.Fprintln(w, cmp.Or(s.Note, ""))
	}
}

func reportCommand(args []string) error { return errors.New("not there") }
