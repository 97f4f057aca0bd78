package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/status"
)

// parseRef reads NAME or id:N into what the wire calls a ref.
func parseRef(text string) (any, error) {
	number, byID := strings.CutPrefix(text, "id:")
	if !byID {
		return text, nil
	}
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, usage("%q is no object id: want id:N", text)
	}
	return id, nil
}

// parseShape reads dimensions such as 3x4.
func parseShape(text string) ([]uint64, error) {
	var shape []uint64
	for part := range strings.SplitSeq(text, "x") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil, usage("%q is no shape: want dimensions such as 3x4", text)
		}
		shape = append(shape, n)
	}
	return shape, nil
}

// selection is a part of an array, in row-major positions.
type selection struct {
	start, count uint64
	single       bool // one element, not a range of one
}

// parseSelection reads INDEX, one number for each dimension (1,2) or the
// row-major position, or START:END, of which both sides may be missing.
func parseSelection(op, text string, shape []uint64, length uint64) (selection, error) {
	begin, end, isRange := strings.Cut(text, ":")
	if !isRange {
		i, err := parseIndex(op, text, shape, length)
		return selection{i, 1, true}, err
	}
	s := selection{}
	stop := length
	var err error
	if begin != "" {
		if s.start, err = strconv.ParseUint(begin, 10, 64); err != nil {
			return s, usage("%q is no range: want START:END", text)
		}
	}
	if end != "" {
		if stop, err = strconv.ParseUint(end, 10, 64); err != nil {
			return s, usage("%q is no range: want START:END", text)
		}
	}
	if s.start > stop || stop > length {
		return s, status.New(status.BadIndex, op, "the range %s is not within 0:%d", text, length)
	}
	s.count = stop - s.start
	return s, nil
}

// parseIndex reads the position of one element.
func parseIndex(op, text string, shape []uint64, length uint64) (uint64, error) {
	parts := strings.Split(text, ",")
	dims := shape
	if len(parts) == 1 {
		dims = []uint64{length}
	}
	if len(parts) != len(dims) {
		return 0, status.New(status.BadIndex, op, "%s has %d coordinates, the shape %s has %d dimensions",
			text, len(parts), shapeText(shape), len(shape))
	}
	var index uint64
	for d, part := range parts {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return 0, usage("%q is no index: want a number, or one for each dimension as in 1,2", text)
		}
		if n >= dims[d] {
			return 0, status.New(status.BadIndex, op, "%d is not within 0 to %d", n, dims[d]-1)
		}
		index = index*dims[d] + n
	}
	return index, nil
}

// negative matches numbers that look like flags.
var negative = regexp.MustCompile(`(?i)^-(\.?[0-9]|inf|nan)`)

// setNegatives rewrites the arguments of `set`, `put` and `send` so that negative numbers
// are values and not flags: flags first, then "--", then the rest in its order.
// All other commands are left alone.
func setNegatives(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	if err != nil || !slices.Contains([]string{"set", "put", "send"}, cmd.Name()) {
		return args
	}
	var options, positional []string
	for i := 0; i < len(rest); i++ {
		switch arg := rest[i]; {
		case arg == "--":
			positional = append(positional, rest[i+1:]...)
			i = len(rest)
		case len(arg) < 2 || arg[0] != '-' || negative.MatchString(arg):
			positional = append(positional, arg)
		default:
			options = append(options, arg)
			name := strings.TrimLeft(arg, "-")
			flag := cmd.Flag(name)
			if flag == nil {
				flag = root.PersistentFlags().Lookup(name)
			}
			if len(arg) == 2 {
				flag = cmd.Flags().ShorthandLookup(name)
			}
			if flag != nil && flag.NoOptDefVal == "" && i+1 < len(rest) {
				i++
				options = append(options, rest[i])
			}
		}
	}
	out := append([]string{cmd.Name()}, options...)
	return append(append(out, "--"), positional...)
}
