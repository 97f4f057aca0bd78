package wire

import (
	"strings"

	"github.com/shmd/shmd/status"
)

// ValidateName checks an object name: parts of [A-Za-z0-9._-] joined by '/', no
// part empty, "." or "..", at most NameMax bytes. The error is a *status.Error,
// BadName. The name "" of an anonymous object is the caller's business.
func ValidateName(s string) error {
	if s == "" {
		return badName(s, "it is empty")
	}
	if err := nameBytes(s); err != nil {
		return err
	}
	return nameParts(s, s)
}

// ValidatePrefix checks what list filters by: "" or the beginning of a name.
func ValidatePrefix(s string) error {
	if err := nameBytes(s); err != nil {
		return err
	}
	// The last part may be cut anywhere: "a/", "a/." and "a/.." begin names.
	if last := strings.LastIndexByte(s, '/'); last >= 0 {
		return nameParts(s, s[:last])
	}
	return nil
}

// nameBytes checks length and alphabet.
func nameBytes(s string) error {
	if len(s) > NameMax {
		return badName(s[:32]+"...", "it has %d bytes, the limit is %d", len(s), NameMax)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '-', c == '/':
		default:
			return badName(s, "byte %d is %q: use letters, digits, '.', '_', '-', and '/' between parts", i, c)
		}
	}
	return nil
}

// nameParts checks the parts of path, which is all or the beginning of name.
func nameParts(name, path string) error {
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "":
			return badName(name, "a part between '/' is empty")
		case ".", "..":
			return badName(name, "a part is %q", part)
		}
	}
	return nil
}

func badName(name, reason string, args ...any) error {
	return status.New(status.BadName, "name", reason, args...).On(name)
}
