package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// parseMessage turns one JSON value into msgpack. A number without fraction and
// exponent is an integer, of up to 64 bits, any other a float; nothing is rounded
// to fit, and keys keep their order.
func parseMessage(text []byte) (msgpack.RawMessage, error) {
	// Of all that is wrong with a text, the decoder below overlooks some.
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, status.Wrap(status.BadType, "put", err,
			`%.80q is not one JSON value; want such as 7, "text" (with its quotes), [1, 2] or {"a": null}`, text)
	}
	if !utf8.Valid(text) {
		return nil, status.New(status.BadType, "put", "%.80q is not UTF-8, as JSON is", text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return appendMessage(nil, d, 0)
}

// appendMessage appends the value that comes next; depth counts what it is in.
func appendMessage(b []byte, d *json.Decoder, depth int) ([]byte, error) {
	token, err := d.Token()
	if err != nil {
		return nil, status.Wrap(status.BadType, "put", err, "read JSON")
	}
	switch v := token.(type) {
	case nil:
		return wire.AppendNil(b), nil
	case bool:
		return wire.AppendBool(b, v), nil
	case string:
		return wire.AppendStr(b, v), nil
	case json.Number:
		return appendNumber(b, v.String())
	}
	if depth == wire.ContentDepthMax {
		return nil, status.New(status.BadType, "put", "the value nests deeper than %d", wire.ContentDepthMax)
	}
	// How many there are is known only behind the last.
	var inner []byte
	count := 0
	for ; d.More(); count++ {
		if inner, err = appendMessage(inner, d, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, status.Wrap(status.BadType, "put", err, "read JSON")
	}
	if token == json.Delim('{') {
		b = wire.AppendMapLen(b, count/2) // keys count as well
	} else {
		b = wire.AppendArrayLen(b, count)
	}
	return append(b, inner...), nil
}

func appendNumber(b []byte, text string) ([]byte, error) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, status.New(status.OutOfRange, "put", "%s is beyond the largest float, %g",
				text, math.MaxFloat64)
		}
		return wire.AppendEncoded(b, f)
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return wire.AppendInt(b, i), nil
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, status.New(status.OutOfRange, "put",
			"%s is not within -2^63 to 2^64-1; written with a fraction or an exponent, it is a float", text)
	}
	return wire.AppendUint(b, u), nil
}

// messageText is a msgpack value as JSON that parseMessage reads back as the same
// value, as far as JSON has it: bytes become a string in base64, floats that are no
// numbers "nan", "inf" and "-inf", keys that are no strings their JSON in a string,
// and extensions {"ext": number, "data": base64}.
func messageText(raw []byte) (json.RawMessage, error) {
	d := wire.ToDecoder(raw)
	defer wire.ReleaseDecoder(d)
	text, err := appendText(nil, d)
	if err != nil {
		return nil, status.Wrap(status.BadFrame, "take", err, "the daemon's message")
	}
	return text, nil
}

// appendText recurses: the daemon and wire.Decode have bounded the depth.
func appendText(b []byte, d *msgpack.Decoder) ([]byte, error) {
	code, err := d.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case code == msgpcode.Nil:
		return append(b, "null"...), d.DecodeNil()
	case code == msgpcode.True || code == msgpcode.False:
		v, err := d.DecodeBool()
		return strconv.AppendBool(b, v), err
	case msgpcode.IsString(code):
		s, err := d.DecodeString()
		if err != nil {
			return nil, err
		}
		return appendQuoted(b, s)
	case msgpcode.IsBin(code):
		v, err := d.DecodeBytes()
		return appendBase64(b, v), err
	case code == msgpcode.Float:
		f, err := d.DecodeFloat32()
		return appendFloat(b, ctypes.CodeFloat, uint64(math.Float32bits(f))), err
	case code == msgpcode.Double:
		f, err := d.DecodeFloat64()
		return appendFloat(b, ctypes.CodeDouble, math.Float64bits(f)), err
	case code >= msgpcode.Int8 && code <= msgpcode.Int64 || code >= msgpcode.NegFixedNumLow:
		i, err := d.DecodeInt64()
		return strconv.AppendInt(b, i, 10), err
	case code >= msgpcode.Uint8 && code <= msgpcode.Uint64 || code <= msgpcode.PosFixedNumHigh:
		u, err := d.DecodeUint64()
		return strconv.AppendUint(b, u, 10), err
	case msgpcode.IsExt(code):
		return appendExtension(b, d)
	case msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32:
		n, err := d.DecodeArrayLen()
		if err != nil {
			return nil, err
		}
		return appendItems(b, '[', ']', n, func(b []byte) ([]byte, error) { return appendText(b, d) })
	}
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	return appendItems(b, '{', '}', n, func(b []byte) ([]byte, error) {
		key, err := appendText(nil, d)
		if err != nil {
			return nil, err
		}
		if key[0] == '"' {
			b = append(b, key...)
		} else if b, err = appendQuoted(b, string(key)); err != nil {
			return nil, err
		}
		return appendText(append(b, ':'), d)
	})
}

func appendItems(b []byte, open, shut byte, n int, item func([]byte) ([]byte, error)) (_ []byte, err error) {
	b = append(b, open)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = item(b); err != nil {
			return nil, err
		}
	}
	return append(b, shut), nil
}

func appendExtension(b []byte, d *msgpack.Decoder) ([]byte, error) {
	number, n, err := d.DecodeExtHeader()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(d.Buffered(), data); err != nil {
		return nil, err
	}
	b = strconv.AppendInt(append(b, `{"ext":`...), int64(number), 10)
	return append(appendBase64(append(b, `,"data":`...), data), '}'), nil
}

// appendFloat keeps a float a float: one without a fraction gets one.
func appendFloat(b []byte, code ctypes.Code, bits uint64) []byte {
	text := ctypes.FormatText(code, bits)
	switch {
	case !json.Valid([]byte(text)): // inf, nan
		return append(append(append(b, '"'), text...), '"')
	case !strings.ContainsAny(text, ".e"):
		text += ".0"
	}
	return append(b, text...)
}

func appendQuoted(b []byte, s string) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}

func appendBase64(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}
