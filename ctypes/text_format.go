package ctypes

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// FormatText returns the element of code c with the given bit pattern as text
// for people. [ParseText] reads it back to the same bits, but for a NaN, of
// which the text keeps neither sign nor payload.
//
//   - integers: decimal
//   - floats: the shortest decimal that reads back the same; inf, -inf, nan
//   - '?': true, false
//   - 'c': the character if it is visible ASCII, else \xNN
//   - 'u': the character if it is visible and stands alone, else U+XXXX
//
// Text always comes back: a 'u' that is no Unicode scalar value is written as
// U+XXXX too, which ParseText refuses, and an unknown code yields the pattern
// in hexadecimal.
func FormatText(c Code, bits uint64) string {
	t := &table[c]
	switch t.kind {
	case KindInt:
		return strconv.FormatInt(signExtend(bits, t.size), 10)
	case KindUint:
		return strconv.FormatUint(bits&mask(t.size), 10)
	case KindBool:
		return strconv.FormatBool(byte(bits) != 0)
	case KindFloat:
		return formatFloatCode(c, bits)
	case KindChar:
		if b := byte(bits); b > ' ' && b <= '~' {
			return string(rune(b))
		}
		return `\x` + padHex(bits&mask(t.size), 2)
	case KindWChar:
		r, err := runeOf(c, bits)
		if err == nil && unicode.IsPrint(r) && r != ' ' && !unicode.IsMark(r) {
			return string(r)
		}
		return "U+" + strings.ToUpper(padHex(bits&mask(t.size), 4))
	default:
		return "0x" + strconv.FormatUint(bits, 16)
	}
}

// padHex returns u in hexadecimal, of at least width digits.
func padHex(u uint64, width int) string {
	digits := strconv.FormatUint(u, 16)
	return strings.Repeat("0", max(width-len(digits), 0)) + digits
}

// formatFloatCode formats the number of a pattern. Preconditions: c is a float
// code.
func formatFloatCode(c Code, bits uint64) string {
	f := floatOf(c, bits)
	switch c {
	case CodeHalf:
		// strconv knows no halves. Five digits tell any two apart, so the
		// least number that does is found by trying.
		for digits := 0; digits < 5; digits++ {
			text := strconv.FormatFloat(f, 'e', digits, 64)
			short, err := strconv.ParseFloat(text, 64)
			if h, ok := halfOf(short); err == nil && ok && h == Half(bits) {
				f = short
				break
			}
		}
		return formatFloat(f, 64)
	case CodeFloat:
		return formatFloat(f, 32)
	default:
		return formatFloat(f, 64)
	}
}

// formatFloat formats f with the fewest digits that tell it from its
// neighbours, without an exponent where that is short, as Python does.
func formatFloat(f float64, size int) string {
	switch magnitude := math.Abs(f); {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, size)
	default:
		return strconv.FormatFloat(f, 'f', -1, size)
	}
}
