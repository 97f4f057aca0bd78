package main

import (
	"math"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

func TestMessageRoundTrip(t *testing.T) {
	deep := strings.Repeat("[", wire.ContentDepthMax) + strings.Repeat("]", wire.ContentDepthMax)
	for text, want := range map[string]string{
		"0": "", "-1": "", "127": "", "128": "", "-32": "", "-33": "", "-129": "", "65536": "", "-32769": "",
		"9223372036854775807": "", "9223372036854775808": "", "18446744073709551615": "", "-9223372036854775808": "",
		"-0": "0", "1.0": "", "-0.0": "", "0.1": "", "1e3": "1000.0", "1E400e": "-", "5e-324": "",
		"1.7976931348623157e+308": "", "123456789012345678901234567890.0": "1.2345678901234568e+29",
		"null": "", "true": "", "false": "", `""`: "", `"a\u0000\"\\<é世"`: "", `"\u00e9"`: `"é"`,
		"[]": "", "{}": "", `{"b":[1,{"a":[]},2.5],"a":{"":null}}`: "", deep: "",
		` [ 1 , "x" ] `:                          `[1,"x"]`,
		"[" + strings.Repeat("1,", 70000) + "1]": "",
		`"` + strings.Repeat("x", 70000) + `"`:   "",
	} {
		raw, err := parseMessage([]byte(text))
		if want == "-" {
			if err == nil {
				t.Errorf("%.40s is taken", text)
			}
			continue
		}
		if want == "" {
			want = text
		}
		if err != nil {
			t.Errorf("%.40s: %v", text, err)
			continue
		}
		if err := wire.ValidateContent(raw); err != nil {
			t.Errorf("%.40s: %v", text, err)
		}
		if got, err := messageText(raw); err != nil || string(got) != want {
			t.Errorf("%.40s comes back as %.80s, %v; want %.80s", text, got, err, want)
		}
	}
}

// An integer is the same msgpack whatever its size, and never a float.
func TestMessageNumbers(t *testing.T) {
	for text, want := range map[string]any{"7": int64(7), "-7": int64(-7), "7.0": 7.0, "7e0": 7.0,
		"18446744073709551615": uint64(math.MaxUint64), "-9223372036854775808": int64(math.MinInt64)} {
		var expected []byte
		var err error
		switch v := want.(type) {
		case int64:
			expected = wire.AppendInt(nil, v)
		case uint64:
			expected = wire.AppendUint(nil, v)
		default:
			expected, err = wire.Encode(v)
		}
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := parseMessage([]byte(text)); err != nil || string(raw) != string(expected) {
			t.Errorf("%s is % x, %v; want % x", text, raw, err, expected)
		}
	}
}

func TestMessageMistakes(t *testing.T) {
	deep := strings.Repeat("[", wire.ContentDepthMax+1) + strings.Repeat("]", wire.ContentDepthMax+1)
	wrong := map[string]status.Code{deep: status.BadType, strings.Repeat("[", 1<<20): status.BadType}
	for _, text := range []string{"", "NaN", "-inf", "hello", "1 2", "[1 2]", "[1,]", `{"a"}`, "{1:2}", "01", "+1",
		"'a'", "\"\xff\""} {
		wrong[text] = status.BadType
	}
	for _, text := range []string{"18446744073709551616", "-9223372036854775809", "1e999"} {
		wrong[text] = status.OutOfRange
	}
	for text, code := range wrong {
		if raw, err := parseMessage([]byte(text)); status.Of(err) != code {
			t.Errorf("%.40q is % x, %v; want %v", text, raw, err, code)
		}
	}
}

// What JSON lacks has a text all the same.
func TestMessageWithoutJSON(t *testing.T) {
	for raw, want := range map[string]string{
		"\xc4\x02\x00\xff":                              `"AP8="`,
		"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00":          `"nan"`,
		"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00":          `"-inf"`,
		"\xca\x3d\xcc\xcc\xcd":                          "0.1",
		"\xca\x7f\x80\x00\x00":                          `"inf"`,
		"\x82\x01\xc0\x92\x01\xc3\xc2":                  `{"1":null,"[1,true]":false}`,
		"\xd4\x05\x01":                                  `{"ext":5,"data":"AQ=="}`,
		"\x92\xd6\xff\x00\x00\x00\x01\xc7\x00\x01":      `[{"ext":-1,"data":"AAAAAQ=="},{"ext":1,"data":""}]`,
		"\xd3\x00\x00\x00\x00\x00\x00\x00\x05":          "5",
		"\xdf\x00\x00\x00\x01\xd9\x01a\xdc\x00\x01\x01": `{"a":[1]}`,
	} {
		if got, err := messageText([]byte(raw)); err != nil || string(got) != want {
			t.Errorf("% x is %s, %v; want %s", raw, got, err, want)
		}
	}
}
