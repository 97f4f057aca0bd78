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

// Messages are those of OpPutMany and OpSendMany.
func (e *Entry) Messages() [][]byte {
	messages := make([][]byte, min(e.Desired, BatchMax))
	for i := range messages {
		messages[i] = makeMessage(e.Argument+int64(i), e.N)
	}
	return messages
}

// ReceiveMany writes the numbers of messages that came; all must be whole.
func (e *Entry) ReceiveMany(messages [][]byte) error {
	e.Result = int64(len(messages))
	if e.Result < 1 || e.Result > min(e.Desired, BatchMax) {
		return errBroken
	}
	for i, m := range messages {
		number, whole := numberOf(m)
		if e.Numbers[i] = number; !whole {
			return errBroken
		}
	}
	return nil
}

// Message is the message of OpPut, OpCommit and OpSend.
func (e *Entry) Message() []byte { return makeMessage(e.Argument, e.N) }

// Receive writes the number of a message that came, and reports whether it is whole.
func (e *Entry) Receive(m []byte) bool {
	var whole bool
	e.Result, whole = numberOf(m)
	return whole
}
