package wire

import (
	"encoding/binary"
	"strings"

	"github.com/shmd/shmd/status"
)

// The appenders are written by hand: every request and every answer goes
// through them, and the library would cost an encoder, an interface and an
// allocation each time. All choose the shortest form of a value.

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, mpNil) }

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, mpTrue)
	}
	return append(b, mpFalse)
}

// AppendUint appends an integer.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(b, byte(v))
	case v < 1<<8:
		return append(b, mpUint8, byte(v))
	case v < 1<<16:
		return append(b, mpUint16, byte(v>>8), byte(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, mpUint32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, mpUint64), v)
}

// AppendInt appends an integer; one that is not negative as AppendUint does.
func AppendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(b, uint64(v))
	case v >= -1<<5:
		return append(b, byte(v))
	case v >= -1<<7:
		return append(b, mpInt8, byte(v))
	case v >= -1<<15:
		return append(b, mpInt16, byte(v>>8), byte(v))
	case v >= -1<<31:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, mpInt64), uint64(v))
}

// AppendStr appends a string.
func AppendStr(b []byte, s string) []byte {
	if len(s) < 32 {
		return append(append(b, 0xa0|byte(len(s))), s...)
	}
	return append(appendSize(b, mpStr8, len(s)), s...)
}

// AppendBin appends bytes.
func AppendBin(b, p []byte) []byte { return append(appendSize(b, mpBin8, len(p)), p...) }

// appendSize appends base, base+1 or base+2 with a length of 1, 2 or 4 bytes.
func appendSize(b []byte, base byte, n int) []byte {
	switch {
	case n < 1<<8:
		return append(b, base, byte(n))
	case n < 1<<16:
		return append(b, base+1, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, base+2), uint32(n))
}

// AppendArrayLen appends the header of an array; its n values follow.
func AppendArrayLen(b []byte, n int) []byte { return appendCount(b, 0x90, mpArray16, n) }

// AppendMapLen appends the header of a map; n keys, each with its value, follow.
func AppendMapLen(b []byte, n int) []byte { return appendCount(b, 0x80, mpMap16, n) }

func appendCount(b []byte, fix, base byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, fix|byte(n))
	case n < 1<<16:
		return append(b, base, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, base+1), uint32(n))
}

// AppendRequestHeader begins a request; the caller appends nparams values.
func AppendRequestHeader(b []byte, id uint32, method string, nparams int) []byte {
	b = AppendUint(append(b, 0x94, typeRequest), uint64(id))
	return AppendArrayLen(AppendStr(b, method), nparams)
}

// AppendNotification begins a notification; the caller appends nparams values.
func AppendNotification(b []byte, method string, nparams int) []byte {
	return AppendArrayLen(AppendStr(append(b, 0x93, typeNotification), method), nparams)
}

// AppendCancel appends the whole notification that cancels request id.
func AppendCancel(b []byte, id uint32) []byte {
	return AppendUint(AppendNotification(b, NotifyCancel, 1), uint64(id))
}

// AppendResultHeader begins the response of a success; the caller appends the
// result, one value.
func AppendResultHeader(b []byte, id uint32) []byte {
	return append(AppendUint(append(b, 0x94, typeResponse), uint64(id)), mpNil)
}

// AppendError appends the whole response of a failure.
func AppendError(b []byte, id uint32, e *status.Error) []byte {
	text := e.Error()
	if len(text) > errorTextMax {
		text = text[:errorTextMax] + "..."
	}
	b = AppendUint(append(b, 0x94, typeResponse), uint64(id))
	b = AppendInt(AppendArrayLen(b, 3), int64(e.Code))
	b = AppendStr(b, e.Code.Name())
	return AppendNil(AppendStr(b, strings.ToValidUTF8(text, "?")))
}
