package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// reference is what the workers' totals must equal, found without any of their
// code.
type reference struct {
	Total counts `json:"total"`
	// WC is whether `wc -lc` was there to confirm bytes and lines.
	WC bool `json:"wc"`
}

// count finds the reference, and the first files whose rows differ from it.
func count(ctx context.Context, paths []string, rows []row) (r reference, wrong []string, err error) {
	for i, path := range paths {
		c, err := countFile(path)
		if err != nil {
			return r, nil, err
		}
		r.Total.add(c)
		if c != rows[i].counts && len(wrong) < 5 {
			wrong = append(wrong, fmt.Sprintf("%s: workers found %v, it has %v", path, rows[i].counts, c))
		}
	}
	total, found, err := wc(ctx, paths)
	if err != nil {
		return r, nil, err
	}
	total.Words = r.Total.Words // wc does not count them by our definition
	if r.WC = found; found && total != r.Total {
		wrong = append(wrong, fmt.Sprintf("wc -lc finds %d bytes and %d lines, this program %d and %d",
			total.Bytes, total.Lines, r.Total.Bytes, r.Total.Lines))
	}
	return r, wrong, nil
}

func countFile(path string) (counts, error) {
	data, err := os.ReadFile(path)
	words := bytes.FieldsFunc(data, func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) })
	return counts{uint64(len(data)), uint64(bytes.Count(data, []byte("\n"))), uint64(len(words))}, err
}

// wc sums bytes and lines as wc(1) finds them; found = there is one.
func wc(ctx context.Context, paths []string) (total counts, found bool, err error) {
	for _, tool := range []string{"xargs", "wc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return total, false, nil
		}
	}
	cmd := exec.CommandContext(ctx, "xargs", "-0", "wc", "-lc")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\x00"))
	out, err := cmd.Output()
	if err != nil {
		return total, false, fmt.Errorf("xargs wc -lc: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return total, false, fmt.Errorf("wc -lc printed %q", line)
		}
		if len(fields) == 3 && fields[2] == "total" {
			continue // of a batch; no absolute path is "total"
		}
		lines, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return total, false, fmt.Errorf("wc -lc printed %q: %w", line, err)
		}
		size, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return total, false, fmt.Errorf("wc -lc printed %q: %w", line, err)
		}
		total.add(counts{Bytes: size, Lines: lines})
	}
	return total, true, nil
}
