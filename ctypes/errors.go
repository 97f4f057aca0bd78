package ctypes

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrMalformed is wrapped by errors about input that is not msgpack at all (the
// byte 0xc1, which the format never uses). Truncated input is io.EOF or
// io.ErrUnexpectedEOF instead.
var ErrMalformed = errors.New("malformed msgpack")

// RangeError says that a value is of the right sort and yet not one that the
// code can hold.
type RangeError struct {
	Code Code

	// Value is what was refused: int64, uint64 or float64, or the string
	// itself when a text holds a number too large for those.
	Value any

	// Min and Max are the bounds as [Code.Range] gives them. The surrogates
	// are outside the range of 'u' as well.
	Min, Max string
}

// rangeError returns the error for a value that c cannot hold.
func rangeError(c Code, value any) *RangeError {
	minimum, maximum := c.Range()
	return &RangeError{Code: c, Value: value, Min: minimum, Max: maximum}
}

// Error names the value, the code with its C type, and the range.
func (e *RangeError) Error() string {
	var hole string
	if e.Code.Kind() == KindWChar {
		hole = " except the surrogates U+D800 to U+DFFF"
	}
	return fmt.Sprintf("value %s is out of range for %s: %s to %s%s",
		e.valueText(), describe(e.Code), e.Min, e.Max, hole)
}

// valueText returns the value as the range is written.
func (e *RangeError) valueText() string {
	switch v := e.Value.(type) {
	case uint64:
		if e.Code.Kind() == KindWChar {
			return fmt.Sprintf("U+%04X", v)
		}
		return strconv.FormatUint(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return clip(v)
	default:
		return clip(fmt.Sprint(v))
	}
}

// TypeError says that a value is not of a sort that the code can hold.
type TypeError struct {
	Code Code
	Got  string // what was given, such as "float64 1.5" or "nil"
}

// Error names what was given, the code with its C type, and what it takes.
func (e *TypeError) Error() string {
	return fmt.Sprintf("%s cannot be stored in %s, which takes %s",
		e.Got, describe(e.Code), takes(e.Code))
}

// takes says in words what may be stored in c.
func takes(c Code) string {
	switch c.Kind() {
	case KindChar:
		return "one byte or an integer from 0 to 255"
	case KindBool:
		return "true, false, 0 or 1"
	case KindInt, KindUint:
		minimum, maximum := c.Range()
		return "an integer from " + minimum + " to " + maximum
	case KindFloat:
		return "a number"
	case KindWChar:
		return "one character or its code point"
	default:
		return "nothing"
	}
}

// UnknownCodeError says that a text or a byte names no type code.
type UnknownCodeError struct {
	Text string // what was given
}

// unknownCode returns the error for a Code that is not valid.
func unknownCode(c Code) *UnknownCodeError {
	return &UnknownCodeError{Text: c.String()}
}

// Error names what was given and all that would have been understood.
func (e *UnknownCodeError) Error() string {
	var letters, widths strings.Builder
	for _, c := range all {
		letters.WriteString(" " + c.String())
		if c != CodeLong && c != CodeULong { // they share the names of q and Q
			widths.WriteString(" " + c.Name())
		}
	}
	return fmt.Sprintf("unknown type code %q: the codes are%s, or by name%s",
		clip(e.Text), letters.String(), widths.String())
}

// CountError says that a sequence has more elements than may be taken.
type CountError struct {
	Code  Code
	Count uint64 // how many there are; at least so many if only the size is known
	Max   uint64 // how many are taken
}

// Error names both counts and the code.
func (e *CountError) Error() string {
	return fmt.Sprintf("%d elements of %s are too many: at most %d fit",
		e.Count, describe(e.Code), e.Max)
}

// LengthError says that a buffer is no whole number of elements.
type LengthError struct {
	Code   Code
	Length int // of the buffer, in bytes
}

// Error names the length, the code and its size.
func (e *LengthError) Error() string {
	return fmt.Sprintf("%d bytes are no whole number of elements of %s, %d bytes each",
		e.Length, describe(e.Code), e.Code.Size())
}

// describe returns a code with its C type, such as "'B' (unsigned char)".
func describe(c Code) string {
	if !c.Valid() {
		return fmt.Sprintf("the unknown type code %q", c.String())
	}
	return "'" + c.String() + "' (" + c.CName() + ")"
}

// clipLength is how much of a foreign text an error repeats, in bytes. Chosen
// somewhat arbitrarily: any number of 64 bits fits.
const clipLength = 48

// clip shortens s for a message.
func clip(s string) string {
	if len(s) <= clipLength {
		return s
	}
	return s[:clipLength] + "..."
}

// truncated turns the end of input inside a value into io.ErrUnexpectedEOF.
func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isValueError reports whether err is about the value and not about the input:
// the value was read whole and what follows can be read.
func isValueError(err error) bool {
	switch err.(type) {
	case *RangeError, *TypeError:
		return true
	default:
		return false
	}
}
