package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// share is what one worker did.
type share struct {
	Number   int     `json:"number"`
	Language string  `json:"language"`
	PID      int     `json:"pid"`
	Files    int     `json:"files"`
	Bytes    uint64  `json:"bytes"`
	Seconds  float64 `json:"seconds"` // from go to its end
	Killed   bool    `json:"killed"`
}

// report is the result of a run.
type report struct {
	Dir      string    `json:"dir"`
	Server   string    `json:"server"`
	Files    int       `json:"files"`
	Seconds  float64   `json:"seconds"` // from go to the end of the last worker
	Workers  []share   `json:"workers"`
	Recovery *recovery `json:"recovery"` // null without a victim
	// Deliveries is how many files there are by how often their message was delivered.
	Deliveries  map[uint64]int `json:"deliveries"`
	Redelivered []redelivery   `json:"redelivered"`
	Permits     int            `json:"permits"`      // there were in the beginning
	PermitsLeft int            `json:"permits_left"` // there are in the end
	Total       counts         `json:"total"`        // of the workers
	Reference   reference      `json:"reference"`
	Wrong       []string       `json:"wrong"` // what is not as it should be; empty = success
}

// redelivery is a message that was delivered more than once.
type redelivery struct {
	File       int    `json:"file"`
	Path       string `json:"path"`
	Deliveries uint64 `json:"deliveries"`
	Worker     int    `json:"worker"` // who has counted the file
}

// shares attributes the files.
func shares(members []*member, rows []row, started time.Time) (all []share, wrong []string) {
	for _, m := range members {
		if m.number == producerNumber {
			continue
		}
		all = append(all, share{Number: m.number, Language: m.language, PID: m.cmd.Process.Pid,
			Seconds: m.finished.Sub(started).Seconds(), Killed: m.killed})
	}
	for file, row := range rows {
		if row.worker < 1 || row.worker > uint64(len(all)) {
			wrong = append(wrong, fmt.Sprintf("file %d is done by worker %d in the end", file, row.worker))
			continue
		}
		all[row.worker-1].Files++
		all[row.worker-1].Bytes += row.Bytes
	}
	return all, wrong
}

// deliveries writes down what was delivered how often.
func (r *report) deliveries(rows []row, paths []string) {
	r.Deliveries, r.Redelivered = map[uint64]int{}, []redelivery{}
	for file, row := range rows {
		r.Deliveries[row.deliveries]++
		if row.deliveries > 1 {
			r.Redelivered = append(r.Redelivered, redelivery{file, paths[file], row.deliveries, int(row.worker)})
		}
	}
}

// checkDeliveries: each message is delivered once, but that of the dead twice.
func (r *report) checkDeliveries() (wrong []string) {
	again := 0
	if r.Recovery != nil {
		again = 1
	}
	if r.Deliveries[1] != r.Files-again || len(r.Redelivered) != again {
		return []string{fmt.Sprintf("so many messages were delivered so often: %v", r.Deliveries)}
	}
	for _, d := range r.Redelivered {
		if d.File != r.Recovery.File || d.Deliveries != 2 {
			wrong = append(wrong, fmt.Sprintf("file %d was delivered %d times, and the dead had file %d",
				d.File, d.Deliveries, r.Recovery.File))
		}
	}
	return wrong
}

// print writes the report for people.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "worker\tlanguage\tpid\tfiles\tbytes\tseconds\t")
	for _, s := range r.Workers {
		fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%d\t%.3f\t",
			s.Number, s.Language, s.PID, s.Files, s.Bytes, s.Seconds)
		if s.Killed {
			fmt.Fprint(table, "  killed")
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintf(table, "all\t\t\t%d\t%d\t%.3f\t\n", r.Files, r.Total.Bytes, r.Seconds)
	if err := table.Flush(); err != nil {
		return err
	}
	if r.Recovery != nil {
		r.Recovery.print(w)
	}
	fmt.Fprintf(w, "\npermits    %d of %d to have a file open are there in the end\n", r.PermitsLeft, r.Permits)
	for _, n := range slices.Sorted(maps.Keys(r.Deliveries)) {
		fmt.Fprintf(w, "delivered  %s: %s\n", plural(int(n), "time"), plural(r.Deliveries[n], "message"))
	}
	for _, d := range r.Redelivered {
		fmt.Fprintf(w, "           file %d, by worker %d in the end: %q\n", d.File, d.Worker, d.Path)
	}
	by := "a count in Go"
	if r.Reference.WC {
		by += " and `wc -lc`"
	}
	_, err := fmt.Fprintf(w, "\ntotal      %s\nreference  %s (%s)\n", r.Total, r.Reference.Total, by)
	if err == nil && len(r.Wrong) == 0 {
		_, err = fmt.Fprintln(w, "equal, file by file")
	}
	return err
}

func (r *recovery) print(w io.Writer) {
	if !r.wasRepaired || !r.wasRedelivered {
		return // which is among what is wrong
	}
	fmt.Fprintf(w, "\ndied       worker %d, process %d, by SIGKILL, holding a lease of %s, a permit of %s\n"+
		"           and the lock of %s\n", r.Victim, r.VictimPID, nameQueue, nameFiles, nameProgress)
	fmt.Fprintf(w, "daemon     gave back all three %s µs after noticing the death\n", micros(r.DaemonNS))
	fmt.Fprintf(w, "permit     was back at most %s µs after the kill\n", micros(r.GaveBackNS))
	fmt.Fprintf(w, "lease      on the same message, worker %d, %s µs after the kill, delivery %d\n",
		r.LeasedBy, micros(r.LeasedNS), r.Deliveries)
	fmt.Fprintf(w, "lock       %s, %s µs after the kill, with a notice of the death of %d\n",
		who(r.RepairedBy), micros(r.NextOwnerNS), r.NoticePID)
	fmt.Fprintf(w, "repaired   %s µs after the kill: %d files were counted, %d were done\n",
		micros(r.RepairedNS), r.Counted, r.Recount)
}

func who(number int) string {
	if number == producerNumber {
		return "the producer"
	}
	return fmt.Sprintf("worker %d", number)
}

func micros(ns int64) string { return fmt.Sprintf("%.1f", float64(ns)/1e3) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printJSON writes the report for programs.
func (r *report) printJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// err is the error that a wrong result is.
func (r *report) err() error {
	if len(r.Wrong) == 0 {
		return nil
	}
	return fmt.Errorf("the result is wrong:\n  %s", strings.Join(r.Wrong, "\n  "))
}
