package soak

import "github.com/shmd/shmd/wire"

// auditors are the auditors of all objects.
func (s *stage) auditors() []audit {
	names := make([]string, objects)
	for i, o := range s.infos {
		names[i] = o.Name
	}
	lock := func(objects []uint16, marks ...uint16) *lockAudit {
		return &lockAudit{name: names[objects[0]], objects: objects, marks: marks, takeover: s.tally.locks}
	}
	again := lock([]uint16{recursive}, recursive)
	again.again = true
	audits := []audit{&statusAudit{names},
		lock([]uint16{mutex, foreign}, mutex), lock([]uint16{data}, data), lock([]uint16{rwlock}, rwlock),
		lock([]uint16{guard, condition}, guard, condition), again,
		&barrierAudit{names[barrier], barrier, parties},
		&eventAudit{name: names[autoEvent], object: autoEvent, look: func() bool { return s.isSet(autoEvent) }},
		&permitAudit{name: "permits", object: permits, base: permitsAll,
			look: func() wire.Permits { return s.permits(permits) }},
		&permitAudit{name: "undo", object: undoPermits, undo: true, base: undoAll,
			look: func() wire.Permits {
				s.eventually(func() bool { p := s.permits(undoPermits); return p.Available == p.Total })
				return s.permits(undoPermits)
			}},
		&sumAudit{name: "sums", object: sums, base: make([]int64, elements),
			look: func(i int) int64 { return s.element(sums, i) }},
		&sumAudit{name: "sum", object: sum, base: make([]int64, 1),
			look: func(i int) int64 { return s.element(sum, i) }},
	}
	audits = append(audits, &streamAudit{name: names[stream], object: stream},
		&pipeAudit{name: names[pipe], object: pipe}, &flowAudit{name: names[flow], object: flow})
	for _, q := range []uint16{jobs, timed} {
		audits = append(audits, &joinAudit{name: names[q], object: q, stays: make(map[int64]*stay)})
	}
	times := map[uint16]int64{timed: int64(leaseTime)}
	for _, q := range []uint16{jobs, letters, timed} {
		audits = append(audits, &queueAudit{name: names[q], object: q, mortal: q == letters, time: times[q],
			look: func() wire.Counts {
				s.eventually(func() bool { n := s.counts(q); return n.Leased+n.Writing == 0 })
				return s.counts(q)
			}, takeover: s.tally.messages, messages: make(map[int64]*message)})
	}
	return audits
}
