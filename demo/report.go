package main

import (
	"encoding/json"
	"fmt"
	"io"
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
	Dir       string    `json:"dir"`
	Server    string    `json:"server"`
	Files     int       `json:"files"`
	Seconds   float64   `json:"seconds"` // from go to the end of the last worker
	Workers   []share   `json:"workers"`
	Recovery  *recovery `json:"recovery"` // null without a victim
	Total     counts    `json:"total"`    // of the workers
	Reference reference `json:"reference"`
	Wrong     []string  `json:"wrong"` // what is not as it should be; empty = success
}

// shares attributes the files by the claims.
func shares(members []*member, claims []uint32, rows []counts, started time.Time) (all []share, wrong []string) {
	for _, m := range members {
		all = append(all, share{Number: m.number, Language: m.language, PID: m.cmd.Process.Pid,
			Seconds: m.finished.Sub(started).Seconds(), Killed: m.killed})
	}
	for file, claim := range claims {
		number := int(claim &^ claimDone)
		if claim&claimDone == 0 || number < 1 || number > len(all) {
			wrong = append(wrong, fmt.Sprintf("the claim of file %d is %#x in the end", file, claim))
			continue
		}
		all[number-1].Files++
		all[number-1].Bytes += rows[file].Bytes
	}
	return all, wrong
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
	if !r.wasRepaired {
		return // which is among what is wrong
	}
	fmt.Fprintf(w, "\ndied       worker %d, process %d, by SIGKILL, holding the lock of %s and a claim\n",
		r.Victim, r.VictimPID, nameProgress)
	fmt.Fprintf(w, "daemon     gave back all it held %s µs after noticing the death\n", micros(r.DaemonNS))
	fmt.Fprintf(w, "told       worker %d, which had the lock %s µs after the kill, with a notice of the death of %d\n",
		r.RepairedBy, micros(r.NextOwnerNS), r.NoticePID)
	fmt.Fprintf(w, "repaired   %s µs after the kill: %d files were counted, %d are done\n",
		micros(r.RepairedNS), r.Counted, r.Recount)
	fmt.Fprintf(w, "recovered  %s, taken over from the dead; worker %d measured the file\n",
		plural(r.Claims, "claim"), r.FinishedBy)
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
