package status

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"testing"
)

// The table must be strictly ascending, complete and unambiguous: a code that
// is renumbered or listed twice would be silently misread by other languages.
func TestTableIsWellFormed(t *testing.T) {
	nameRule := regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`)
	names := map[string]Code{}
	last := Code(-1)
	for _, i := range table {
		if i.code <= last {
			t.Errorf("%s: code %d does not ascend after %d", i.name, i.code, last)
		}
		last = i.code
		if !nameRule.MatchString(i.name) || i.text == "" {
			t.Errorf("code %d: name %q text %q", i.code, i.name, i.text)
		}
		if other, dup := names[i.name]; dup {
			t.Errorf("%s names both %d and %d", i.name, other, i.code)
		}
		names[i.name] = i.code
	}
}

func TestErrorMatches(t *testing.T) {
	err := error(New(TimedOut, "lock", "after 5ms").On("a/b"))
	for _, target := range []error{TimedOut, context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		if !errors.Is(err, target) {
			t.Errorf("%v does not match %v", err, target)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, Cancelled) {
		t.Errorf("%v matches a foreign sentinel", err)
	}
	if got, want := err.Error(), `lock "a/b": timed out: after 5ms`; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if !errors.Is(NotFound, fs.ErrNotExist) || Of(err) != TimedOut || Of(nil) != OK || Of(fs.ErrExist) != Internal {
		t.Error("bare codes and Of do not agree with the table")
	}
	if !errors.Is(New(Ended, "take", "shut down"), io.EOF) || errors.Is(Removed, io.EOF) {
		t.Error("the end of a queue is not io.EOF, or a removal is")
	}
	wrapped := Wrap(System, "map", os.ErrPermission, "descriptor 5")
	if !errors.Is(wrapped, os.ErrPermission) || !errors.Is(wrapped, System) {
		t.Error("a wrapped error loses its cause or its code")
	}
}

func TestUnknownCodesStayReadable(t *testing.T) {
	c := Code(9999)
	if c.Known() || c.Name() != "CODE_9999" || c.Error() != "unknown status 9999" {
		t.Errorf("%v %q %q", c.Known(), c.Name(), c.Error())
	}
}
