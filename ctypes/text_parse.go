package ctypes

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseText returns the bit pattern of the element of code c that s spells, as
// on a command line. Nothing is trimmed.
//
//   - integer codes: decimal, or hexadecimal with 0x, with an optional sign.
//     Hexadecimal is a number too and no bit pattern: 0xFF is 255 and not in
//     the range of 'b'.
//   - float codes: decimal, with or without an exponent, the hexadecimal floats
//     of C, inf, infinity and nan in any case. 'f' and 'd' are rounded once;
//     'e' by way of float64, as in every language that has no halves.
//   - '?': true or false, or an integer, of which 0 and 1 are in range
//   - 'c': a single byte, \xNN or 0xNN
//   - 'u': a single character or U+XXXX
//
// Errors: *[RangeError] for a number that c cannot hold, *[TypeError] for text
// that is no spelling of the sort, *[UnknownCodeError].
func ParseText(c Code, s string) (uint64, error) {
	switch table[c].kind {
	case KindInt, KindUint:
		return parseInt(c, s)
	case KindBool:
		return parseBool(c, s)
	case KindFloat:
		return parseFloat(c, s)
	case KindChar:
		return parseChar(c, s)
	case KindWChar:
		return parseWChar(c, s)
	default:
		return 0, unknownCode(c)
	}
}

// textError returns the error for text that does not spell a value of c.
func textError(c Code, s string) error {
	return &TypeError{Code: c, Got: "text " + strconv.Quote(clip(s))}
}

// parseInt parses for an integer code.
func parseInt(c Code, s string) (uint64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	base := 10
	if hex, ok := cutHex(digits); ok {
		digits, base = hex, 16
	}
	return parseDigits(c, s, digits, base, negative)
}

// parseDigits encodes digits, which are the number in s without sign and
// prefix.
func parseDigits(c Code, s, digits string, base int, negative bool) (uint64, error) {
	magnitude, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		// ParseUint tells an overflow before it has seen all digits.
		if !errors.Is(err, strconv.ErrRange) || !allDigits(digits, base) {
			return 0, textError(c, s)
		}
		return 0, rangeError(c, s)
	}
	o := uintOperand(magnitude)
	if negative {
		if magnitude > 1<<63 {
			return 0, rangeError(c, s)
		}
		o = intOperand(-int64(magnitude)) // -2^63 is its own negative
	}
	return o.encode(c)
}

// allDigits reports whether s is made of digits of base 10 or 16.
func allDigits(s string, base int) bool {
	digits := "0123456789abcdefABCDEF"
	if base == 10 {
		digits = digits[:10]
	}
	return strings.Trim(s, digits) == ""
}

// cutHex cuts off 0x or 0X.
func cutHex(s string) (digits string, ok bool) {
	if len(s) >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		return s[2:], true
	}
	return s, false
}

// parseBool parses for '?'.
func parseBool(c Code, s string) (uint64, error) {
	switch s {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	default:
		return parseInt(c, s)
	}
}

// parseFloat parses for a float code.
func parseFloat(c Code, s string) (uint64, error) {
	if strings.Contains(s, "_") { // strconv would let some pass, as Go does
		return 0, textError(c, s)
	}
	size := 64
	if c == CodeFloat {
		size = 32
	}
	f, err := strconv.ParseFloat(s, size)
	if errors.Is(err, strconv.ErrRange) {
		return 0, rangeError(c, s)
	}
	if err != nil {
		return 0, textError(c, s)
	}
	o := operand{form: formFloat64, bits: math.Float64bits(f)}
	return o.encode(c)
}

// parseChar parses for 'c'.
func parseChar(c Code, s string) (uint64, error) {
	if len(s) == 1 {
		return uint64(s[0]), nil
	}
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		digits, ok = cutHex(s)
	}
	if !ok {
		return 0, textError(c, s)
	}
	return parseDigits(c, s, digits, 16, false)
}

// parseWChar parses for 'u'.
func parseWChar(c Code, s string) (uint64, error) {
	if r, size := utf8.DecodeRuneInString(s); size == len(s) &&
		(r != utf8.RuneError || size > 1) {
		return uint64(r), nil
	}
	digits, ok := strings.CutPrefix(s, "U+")
	if !ok {
		digits, ok = strings.CutPrefix(s, "u+")
	}
	if !ok {
		return 0, textError(c, s)
	}
	return parseDigits(c, s, digits, 16, false)
}
