package history

// MessageMin is the least size of a message: its number.
const MessageMin = 8

// makeMessage is the message of a number, in at least MessageMin bytes: 8 bytes of the
// number, and filling that depends on it. c/performer.c makes the same.
func makeMessage(number int64, size uint32) []byte {
	m := make([]byte, max(size, MessageMin))
	for i := range m {
		if i < MessageMin {
			m[i] = byte(number >> (8 * i))
		} else {
			m[i] = byte(number + int64(i))
		}
	}
	return m
}

// numberOf reads a message; whole = somebody could have made it.
func numberOf(m []byte) (number int64, whole bool) {
	if len(m) < MessageMin {
		return 0, false
	}
	for i := range MessageMin {
		number |= int64(m[i]) << (8 * i)
	}
	return number, string(m) == string(makeMessage(number, uint32(len(m))))
}

// Message is the message of OpPut and OpCommit.
func (e *Entry) Message() []byte { return makeMessage(e.Argument, e.N) }

// Receive writes the number of a message that came, and reports whether it is whole.
func (e *Entry) Receive(m []byte) bool {
	var whole bool
	e.Result, whole = numberOf(m)
	return whole
}
