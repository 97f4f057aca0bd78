package step

import (
	"fmt"
	"strings"

	"github.com/shmd/shmd/wire"
)

// dataRules are those of values and arrays: whoever waits for a change is woken by a
// death, elements are what they were or what was stored, and what a dead writer may
// have left half done is called so.
type dataRules struct {
	lockRules
}

func data(s *stage) rules { return &dataRules{lockRules{stage: s}} }

// begin makes all elements 0.
func (r *dataRules) begin() error {
	line := "value store 0"
	if r.scene.kind == "array" {
		line = "array write 0" + forever
	}
	return r.want(r.peers[holder], line, "ok")
}

func (r *dataRules) said(p *peer, line, answer string) error {
	switch {
	case strings.HasPrefix(line, "array lock"):
		return r.lockRules.said(p, line, answer)
	case strings.HasPrefix(line, "array read"):
		return r.whole(line, answer, false)
	case answer != "ok":
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return nil
}

// whole wants elements of one cut: all as they were, or all as the victim writes
// them, unless it died while it might.
func (r *dataRules) whole(line, answer string, over bool) error {
	var word string
	var x [4]int
	if _, err := fmt.Sscan(answer, &word, &x[0], &x[1], &x[2], &x[3]); err != nil {
		return fmt.Errorf("%q is answered %q: %w", line, answer, err)
	}
	single := strings.HasPrefix(r.scene.act, "array store") || strings.HasPrefix(r.scene.act, "array add")
	for i, element := range x {
		likeFirst := element == x[0] || single && element == 0 || r.owned
		if !r.scene.mayHave(element) || !likeFirst {
			return fmt.Errorf("element %d is %d in %v", i, element, x)
		}
	}
	if over && len(r.scene.effects) > 0 && x[0] == 0 {
		return fmt.Errorf("the elements are %v after the operation", x)
	}
	return nil
}

func (r *dataRules) verify(over bool) error {
	p := r.peers[holder]
	if r.scene.kind == "value" {
		answer, err := r.tell(p, "value load")
		var x int
		if err == nil {
			_, err = fmt.Sscanf(answer, "ok %d", &x)
		}
		if err == nil && (!r.scene.mayHave(x) || over && len(r.scene.effects) > 0 && x == 0) {
			err = fmt.Errorf("the value is %d", x)
		}
		return err
	}
	const line = "array read" + forever
	answer, err := r.tell(p, line)
	if err != nil {
		return err
	}
	if dirty, due := strings.HasPrefix(answer, "notice"), r.owned && r.told == 0; dirty != due {
		return fmt.Errorf("the elements are dirty: %v; they should be: %v", dirty, due)
	}
	if err := r.whole(line, answer, over); err != nil {
		return err
	}
	return r.lockRules.verify(over)
}

func valueScenes() []*scene {
	p := props{kind: "value", options: wire.CreateOptions{Code: new("q")}, rules: data}
	return p.with(append(atomics("value"), waiting("value")...)...)
}

// atomics are the scenes of operations on one element.
func atomics(kind string) []scene {
	watch := all(does(first, kind+" version"), sleeps(first, kind+" wait"+forever))
	store, add := kind+" store", kind+" add"
	return []scene{
		{operation: store, situation: uncontended, act: store + " 7", effects: []int{7}},
		{operation: store, situation: contended, during: watch, act: store + " 7", effects: []int{7}},
		{operation: add, situation: uncontended, act: add + " 7", effects: []int{7}},
		{operation: add, situation: contended, during: watch, act: add + " 7", effects: []int{7}},
	}
}

// waiting are the scenes of waiting for a change.
func waiting(kind string) []scene {
	wait, version := kind+" wait", []string{kind + " version"}
	watch := all(does(first, kind+" version"), sleeps(first, wait+forever))
	change := does(holder, kind+" store 0")
	return []scene{
		{operation: wait, situation: uncontended, before: version, during: change, act: wait + forever},
		{operation: wait, situation: refused, before: version, during: watch, act: wait + try,
			answer: "error WOULD_BLOCK", onlyC: true},
		{operation: wait, situation: timedOut, before: version, during: watch, act: wait + shortly,
			answer: "error TIMED_OUT"},
		{operation: wait, situation: woken, before: version, act: wait + forever, release: all(watch, change)},
	}
}

func arrayScenes() []*scene {
	p := props{kind: "array", options: wire.CreateOptions{Code: new("q"), Length: new(uint64(4))}, rules: data}
	const (
		lock, unlock  = "array lock" + forever, "array unlock"
		begin, end    = "array begin", "array end"
		write, writes = "array write", "array write 7"
		read          = "array read"
	)
	watch := all(does(first, "array version"), sleeps(first, "array wait"+forever))
	held, free := does(holder, lock), does(holder, unlock)
	open, shut := does(holder, lock, begin), does(holder, end, unlock)
	reads := sleeps(first, read+forever)
	changes := []int{7}
	return flat(locking("array", p), p.with(append(atomics("array"), waiting("array")...)...), p.with(
		scene{operation: write, situation: uncontended, act: writes + forever, effects: changes},
		scene{operation: write, situation: contended, during: watch, act: writes + forever, effects: changes},
		scene{operation: write, situation: refused, setUp: held, during: watch, act: writes + try,
			answer: "error WOULD_BLOCK", release: free, onlyC: true},
		scene{operation: write, situation: timedOut, setUp: held, during: sleeps(first, lock), act: writes + shortly,
			answer: "error TIMED_OUT", release: free},
		scene{operation: write, situation: woken, setUp: held, act: writes + forever,
			release: all(sleeps(first, lock), free), effects: changes},
		scene{operation: begin, situation: uncontended, before: []string{lock}, act: begin},
		scene{operation: begin, situation: contended, before: []string{lock}, during: sleeps(first, lock), act: begin},
		scene{operation: end, situation: uncontended, before: []string{lock, begin}, act: end},
		scene{operation: end, situation: contended, before: []string{lock, begin},
			during: all(reads, does(second, "array version"), sleeps(second, "array wait"+forever)), act: end},
		scene{operation: read, situation: uncontended, act: read + forever, answer: "ok 0 0 0 0"},
		scene{operation: read, situation: refused, setUp: open, during: reads, act: read + try,
			answer: "error WOULD_BLOCK", release: shut, onlyC: true},
		scene{operation: read, situation: timedOut, setUp: open, during: reads, act: read + shortly,
			answer: "error TIMED_OUT", release: shut},
		scene{operation: read, situation: woken, setUp: open, act: read + forever, answer: "ok 0 0 0 0",
			release: all(reads, shut)},
	))
}
