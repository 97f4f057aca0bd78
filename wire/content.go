package wire

import "github.com/shmd/shmd/status"

// ContentDepthMax is how deep a message of a queue may nest, so that there is
// room for the answers that carry it.
const ContentDepthMax = DepthMax - 4

// ValidateContent checks that b is exactly one msgpack value that nests no deeper
// than ContentDepthMax, as every message of a msgpack queue is. The error is a
// *status.Error: BadType, or TooLarge if it declares to be longer than b and than
// MessageMax.
func ValidateContent(b []byte) error {
	// What lies in memory as a whole is not bounded by what travels.
	s := Scanner{depth: DepthMax - ContentDepthMax, limit: max(MessageMax, len(b))}
	s.left[s.depth-1] = 2 // the envelope stays open
	n, err := s.Next(b)
	switch {
	case status.Of(err) == status.TooLarge:
		return status.New(status.TooLarge, "", "the message declares more bytes than one may have, %d", s.limit)
	case err != nil:
		return status.New(status.BadType, "", "the message is no msgpack value, or nests deeper than %d",
			ContentDepthMax)
	case n == 0:
		return status.New(status.BadType, "",
			"the message is no whole msgpack value: %d bytes, and more are declared", len(b))
	case n != len(b):
		return status.New(status.BadType, "",
			"the message is more than one msgpack value: the first has %d of %d bytes", n, len(b))
	}
	return nil
}
