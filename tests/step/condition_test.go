package step

import "strings"

// conditionRules: everybody who waits is woken by a death, and the mutex is what any
// is.
type conditionRules struct {
	lockRules
}

func conditions(s *stage) rules { return &conditionRules{lockRules{stage: s}} }

// said lets one who has locked in order to wait do that; the holder locks in order to
// notify.
func (r *conditionRules) said(p *peer, line, answer string) error {
	if !strings.HasPrefix(line, "condition lock") || strings.HasPrefix(answer, "error") {
		return r.lockRules.said(p, line, answer)
	}
	if answer == "notice" {
		r.told++
		if err := r.want(p, "condition mark", "ok"); err != nil {
			return err
		}
	}
	if p.index != holder {
		r.start(p, "condition wait"+forever)
	}
	return nil
}

func conditionScenes() []*scene {
	const lock, unlock, wait = "condition lock" + forever, "condition unlock", "condition wait"
	const notify, notifyAll = "condition notify", "condition all"
	p := props{kind: "condition", rules: conditions, bound: true}
	waits := func(peer int) []cue { return all(does(peer, lock), sleeps(peer, wait+forever)) }
	both := all(waits(first), waits(second))
	mine := []string{lock}
	notifies := all(says(holder, lock), does(holder, notify+" 1", unlock))
	return p.with(
		scene{operation: wait, situation: refused, setUp: waits(first), before: mine, act: wait + try,
			answer: "error WOULD_BLOCK", onlyC: true},
		scene{operation: wait, situation: timedOut, setUp: waits(first), before: mine, act: wait + shortly,
			answer: "error TIMED_OUT"},
		scene{operation: wait, situation: woken, before: mine, act: wait + forever,
			release: all(says(first, lock), notifies)},
		scene{operation: notify, situation: uncontended, before: mine, act: notify + " 1"},
		scene{operation: notify, situation: contended, setUp: both, before: mine, act: notify + " 1"},
		scene{operation: notifyAll, situation: uncontended, before: mine, act: notifyAll},
		scene{operation: notifyAll, situation: contended, setUp: both, before: mine, act: notifyAll},
	)
}
