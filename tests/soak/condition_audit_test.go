package soak

import (
	"fmt"

	"github.com/shmd/shmd/tests/history"
)

// conditionAudit wants nobody to need our notification who was notified. Whoever locked
// the mutex after another had begun to wait with it notified all finds that one asleep,
// or about to.
type conditionAudit struct {
	name   string
	object uint16
}

// notification is one of all: by whom, with the mutex since when, and when it was done.
type notification struct {
	client      int
	since, done int64
}

func (a *conditionAudit) check(r round) (complaints []string) {
	var waits []history.Entry
	var all, ours []notification
	for _, c := range r {
		since := int64(0)
		for i := range c.entries {
			e := &c.entries[i]
			if e.Object != a.object {
				continue
			}
			switch {
			case e.Op == history.OpLock && e.OK(), e.Op == history.OpWaitCondition && e.Return != 0:
				since = e.Return
				if e.Op == history.OpWaitCondition && e.OK() {
					waits = append(waits, *e)
				}
			case e.Op == history.OpNotify && e.N == 0 && e.OK():
				n := notification{c.client, since, e.Return}
				if c.client == ourHand {
					ours = append(ours, n)
				} else {
					all = append(all, n)
				}
			}
		}
	}
	for _, w := range waits {
		for _, n := range all {
			for _, relief := range ours {
				if n.since > w.Call && n.done < relief.done && relief.since > w.Call && relief.done < w.Return {
					complaints = append(complaints, fmt.Sprintf(
						"%s: client %d notified all, and who waited since before needed us: %v", a.name, n.client, &w))
				}
			}
		}
	}
	return complaints
}
