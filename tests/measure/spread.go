package measure

import (
	"fmt"
	"slices"
)

// Spread is what a series of measurements is reduced to.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// SpreadOf needs at least one value.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{sorted[0], Median(sorted), sorted[len(sorted)-1]}
}

// Median needs at least one value.
func Median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Percentile is the smallest value that at least perMille of 1,000 do not exceed.
func Percentile(sorted []float64, perMille int) float64 {
	return sorted[max(0, (len(sorted)*perMille+999)/1000-1)]
}

func (s Spread) String() string {
	return fmt.Sprintf("%9.4g min %9.4g median %9.4g max", s.Min, s.Median, s.Max)
}

// Ratios is how many times theirs ours are, taken within each pair, before anything is reduced.
func Ratios(ours, theirs []float64) Spread {
	ratios := make([]float64, len(ours))
	for i := range ratios {
		ratios[i] = ours[i] / theirs[i]
	}
	return SpreadOf(ratios)
}
