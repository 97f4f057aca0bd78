package shmd

// calls are those of a link that are under way. Each stands where its id says, modulo the
// length of the table: answers come in the order of the requests, most of the time, and
// then finding a call takes one look.
type calls struct {
	slots []*call // a power of two, at least half of them nil
	count int
}

// callsMin is the first length.
const callsMin = 64

// add gives a call the next id after last that nobody has and that has a place.
func (t *calls) add(c *call, last uint32) {
	if 2*t.count >= len(t.slots) {
		t.grow()
	}
	for c.id = last + 1; *t.place(c.id) != nil; c.id++ {
	}
	*t.place(c.id) = c
	t.count++
}

// grow doubles the table: who had a place of its own has one.
func (t *calls) grow() {
	old := t.slots
	t.slots = make([]*call, max(callsMin, 2*len(old)))
	for _, c := range old {
		if c != nil {
			*t.place(c.id) = c
		}
	}
}

func (t *calls) place(id uint32) **call { return &t.slots[id&uint32(len(t.slots)-1)] }

// has reports whether this call is under way.
func (t *calls) has(c *call) bool { return t.count > 0 && *t.place(c.id) == c }

// take removes the call with this id; nil if there is none.
func (t *calls) take(id uint32) *call {
	if t.count == 0 {
		return nil
	}
	place := t.place(id)
	c := *place
	if c == nil || c.id != id {
		return nil
	}
	*place = nil
	t.count--
	return c
}

// takeAll removes all.
func (t *calls) takeAll() (all []*call) {
	for _, c := range t.slots {
		if c != nil {
			all = append(all, c)
		}
	}
	*t = calls{}
	return all
}
