package soak

import "github.com/shmd/shmd/wire"

// auditors are the auditors of all objects.
func (s *stage) auditors() []audit {
	names := make([]string, objects)
	for i, o := range s.infos {
		names[i] = o.Name
	}
	audits := []audit{&statusAudit{names},
		&lockAudit{name: "mutex", objects: []uint16{mutex, foreign}, takeover: s.tally.locks},
		&lockAudit{name: "recursive", objects: []uint16{recursive}, again: true, takeover: s.tally.locks},
		&lockAudit{name: "data", objects: []uint16{data}, takeover: s.tally.locks},
		&permitAudit{name: "permits", object: permits, base: permitsAll,
			look: func() wire.Permits { return s.permits(permits) }},
		&permitAudit{name: "undo", object: undoPermits, undo: true, base: undoAll,
			look: func() wire.Permits { return s.permits(undoPermits) }},
		&sumAudit{name: "sums", object: sums, base: make([]int64, elements),
			look: func(i int) int64 { return s.element(sums, i) }},
		&sumAudit{name: "sum", object: sum, base: make([]int64, 1),
			look: func(i int) int64 { return s.element(sum, i) }},
	}
	for _, q := range []uint16{jobs, letters} {
		audits = append(audits, &queueAudit{name: names[q], object: q, mortal: q == letters,
			look: func() wire.Counts { return s.counts(q) }, takeover: s.tally.messages,
			messages: make(map[int64]*message)})
	}
	return audits
}
