package measure

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Pass lets time go by: here it is what is measured over.
func Pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Activity of all threads of a process: voluntary context switches, and ticks of processor time.
type Activity struct{ Switches, Ticks int }

// ActivityOf is what a process has done so far.
func ActivityOf(pid int) (a Activity, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return a, err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return a, err
		}
		n, err := strconv.Atoi(Field(string(text), "voluntary_ctxt_switches"))
		if err != nil {
			return a, err
		}
		a.Switches += n
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return a, err
	}
	// Behind the name, which may contain anything; utime and stime are 14 and 15.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return a, fmt.Errorf("unknown form of /proc/%d/stat", pid)
	}
	for _, number := range fields[11:13] {
		n, err := strconv.Atoi(number)
		if err != nil {
			return a, err
		}
		a.Ticks += n
	}
	return a, nil
}

// ActivityOfAll is the sum over processes.
func ActivityOfAll(pids ...int) (sum Activity, err error) {
	for _, pid := range pids {
		a, err := ActivityOf(pid)
		if err != nil {
			return sum, err
		}
		sum.Switches += a.Switches
		sum.Ticks += a.Ticks
	}
	return sum, nil
}

// Memory is in KiB.
type Memory struct {
	Anonymous, Resident float64
	// Shared memory counts in part, by how many processes map it.
	Proportional float64
}

// MemoryOf is what a process has now.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	for name, field := range map[string]*float64{
		"Anonymous": &m.Anonymous, "Rss": &m.Resident, "Pss": &m.Proportional,
	} {
		if *field, err = kibibytes(string(text), name); err != nil {
			return Memory{}, err
		}
	}
	return m, nil
}

func kibibytes(text, name string) (float64, error) {
	number, found := strings.CutSuffix(Field(text, name), " kB")
	if !found {
		return 0, fmt.Errorf("smaps_rollup has no %s in kB", name)
	}
	return strconv.ParseFloat(strings.TrimSpace(number), 64)
}

// Family is a process and all that it, and they, have started and that still run under it.
func Family(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			family, err := Family(child)
			if err != nil {
				return nil, err
			}
			all = append(all, family...)
		}
	}
	return all, nil
}
