package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// nsText is a time with three digits.
func nsText(ns float64) string {
	switch {
	case ns < 999.5:
		return digits(ns) + " ns"
	case ns < 999.5e3:
		return digits(ns/1e3) + " µs"
	case ns < 999.5e6:
		return digits(ns/1e6) + " ms"
	}
	return digits(ns/1e9) + " s"
}

// digits is a number with three digits that count, and no exponent.
func digits(v float64) string {
	if v == 0 || math.Abs(v) >= 99.95 {
		return fmt.Sprintf("%.0f", v)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64) // its own text is a number
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(rounded))))
	return fmt.Sprintf("%.*f", min(3, decimals), v)
}

// inUnit is a value of a case.
func inUnit(v float64, unit string) string {
	if unit == "ns" {
		return nsText(v)
	}
	return digits(v) + " " + unit
}

// markdown is a table; its cells have no bars.
type markdown struct {
	head []string
	rows [][]string
}

func (m *markdown) add(cells ...string) { m.rows = append(m.rows, cells) }

func (m *markdown) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(m.head)
	b.WriteString("|---" + strings.Repeat("|--:", len(m.head)-1) + "|\n")
	for _, cells := range m.rows {
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", "/")
		}
		line(cells)
	}
	return b.String()
}
