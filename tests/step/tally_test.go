package step

import (
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/shmd/shmd/tests/harness"
)

// tally counts what died and what came back, by operation.
type tally struct {
	mu   sync.Mutex
	rows map[string]*row // protected by mu
	list []string        // of the operations, in the order of the table; protected by mu
}

// newTally makes one for scenes that may be played in any order.
func newTally(scenes ...*scene) *tally {
	y := &tally{rows: make(map[string]*row)}
	for _, sc := range scenes {
		y.row(sc, row{})
	}
	return y
}

type row struct {
	boundaries, kills, inside        int
	notices, latches, permits, slots int
	leases, reads, parties, hangs    int
}

func (r *row) add(o row) {
	r.boundaries += o.boundaries
	r.kills += o.kills
	r.inside += o.inside
	r.notices += o.notices
	r.latches += o.latches
	r.permits += o.permits
	r.leases += o.leases
	r.slots += o.slots
	r.reads += o.reads
	r.parties += o.parties
	r.hangs += o.hangs
}

func (y *tally) row(sc *scene, r row) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.rows[sc.operation] == nil {
		y.rows[sc.operation] = new(row)
		y.list = append(y.list, sc.operation)
	}
	y.rows[sc.operation].add(r)
}

// saw counts the boundaries of an operation.
func (y *tally) saw(sc *scene, boundaries int) { y.row(sc, row{boundaries: boundaries}) }

// died counts a death, and what the dead held.
func (y *tally) died(sc *scene, h harness.Holding, inside bool) {
	y.row(sc, row{kills: 1, inside: count(inside), notices: count(h.Lock), latches: count(h.Latch),
		permits: int(h.Permits), leases: int(h.Leases), slots: int(h.Slots), reads: int(h.Reads),
		parties: count(h.Party)})
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (y *tally) hung(sc *scene) { y.row(sc, row{hangs: 1}) }

func (y *tally) hangs() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, r := range y.rows {
		n += r.hangs
	}
	return n
}

// String is a table.
func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation\tboundaries\tkills\tinside\t"+
		"notices\tlatches\tpermits\tleases\tslots\treads\tparties\thangs\t")
	var sum row
	line := func(name string, r *row) {
		fmt.Fprintf(w, "%s\t", name)
		for _, n := range []int{r.boundaries, r.kills, r.inside, r.notices, r.latches, r.permits, r.leases, r.slots,
			r.reads, r.parties, r.hangs} {
			fmt.Fprintf(w, "%d\t", n)
		}
		fmt.Fprintln(w)
	}
	for _, name := range y.list {
		if r := y.rows[name]; r.kills > 0 {
			line(name, r)
			sum.add(*r)
		}
	}
	line("all", &sum)
	_ = w.Flush() // a Builder takes everything
	return b.String()
}
