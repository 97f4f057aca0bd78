package status

import (
	"errors"
	"fmt"
)

// Error is a failure or condition with its context. It unwraps to its Code,
// and, where it has one, to the cause.
type Error struct {
	Code   Code   // never OK or OwnerDied
	Op     string // what was attempted, as the caller knows it: "open"
	Object string // the object's name, quoted in the text; may be empty
	Detail string // why, and what to do; may be empty
	Cause  error  // the operating system's or a codec's error; may be nil
}

// New returns an Error without an object; detail is a format string.
func New(code Code, op, detail string, args ...any) *Error {
	return &Error{Code: code, Op: op, Detail: fmt.Sprintf(detail, args...)}
}

// On returns a copy of e that names the object.
func (e *Error) On(object string) *Error {
	c := *e
	c.Object = object
	return &c
}

// Wrap returns an Error with a cause.
func Wrap(code Code, op string, cause error, detail string, args ...any) *Error {
	return &Error{Code: code, Op: op, Detail: fmt.Sprintf(detail, args...), Cause: cause}
}

// Error reads "open \"jobs/a\": no such object: create it first".
func (e *Error) Error() string {
	s := e.Op
	if e.Object != "" {
		s += fmt.Sprintf(" %q", e.Object)
	}
	if s != "" {
		s += ": "
	}
	s += e.Code.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap yields the code and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Cause}
}

// Is spares errors.Is the slice of Unwrap for the code: who tries in a loop asks each time.
func (e *Error) Is(target error) bool {
	c, is := target.(Code)
	return is && c == e.Code
}

// Timeout satisfies net.Error's method.
func (e *Error) Timeout() bool { return e.Code == TimedOut }

// Of returns the code that err carries, Internal for an error without one and
// OK for nil.
func Of(err error) Code {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return Internal
}
