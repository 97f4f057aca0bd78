package history

// flow is what a client knows of a pipe of bytes of which it has an end: how much went
// each way, since an end is claimed once.
type flow struct {
	end           uint32 // EndA or EndB; 0 = none
	written, seen int64
}

// makeBytes fills b with what goes from an end, from a position on; c/flow.h makes the same.
func makeBytes(end uint32, position int64, b []byte) {
	for i := range b {
		p := position + int64(i)
		b[i] = byte(p*7 + p>>8 + int64(end))
	}
}

// write writes the next bytes, or skips the entry.
func (f *flow) write(e *Entry, write func(b []byte) (int, error)) error {
	if f.end == 0 {
		return e.skip()
	}
	b := make([]byte, e.N)
	makeBytes(f.end, f.written, b)
	e.Argument = f.written
	e.begin()
	n, err := write(b)
	e.Result = int64(n)
	f.written += e.Result
	return err
}

// read reads the next bytes, which must be those, or skips the entry.
func (f *flow) read(e *Entry, read func(b []byte) (int, error)) error {
	if f.end == 0 {
		return e.skip()
	}
	b := make([]byte, e.N)
	e.Argument = f.seen
	e.begin()
	n, err := read(b)
	e.Result = int64(n)
	if err != nil {
		return err
	}
	want := make([]byte, n)
	makeBytes(EndA+EndB-f.end, f.seen, want)
	f.seen += e.Result
	if n < 1 || string(b[:n]) != string(want) {
		return errBroken
	}
	return nil
}
