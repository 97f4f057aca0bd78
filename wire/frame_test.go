package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

func TestParseRequest(t *testing.T) {
	frame := requestFrame()
	r, err := ParseRequest(frame)
	if err != nil || r.ID != 1000 || r.Method != MethodSet || r.Notification || len(r.Params) != 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err = ParseRequest(AppendCancel(nil, 70000))
	if err != nil || !r.Notification || r.Method != NotifyCancel || r.ID != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	// A peer need not choose the shortest form.
	r, err = ParseRequest([]byte{0xdc, 0, 4, 0xcc, 0, 0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
		0xd9, 1, 'x', 0xdc, 0, 0})
	if err != nil || r.ID != math.MaxUint32 || r.Method != "x" {
		t.Fatalf("%+v, %v", r, err)
	}
}

// No cut, no lengthening and no wrong type of a message is a message.
func TestParseIsStrict(t *testing.T) {
	request := requestFrame()
	answer := AppendBool(AppendResultHeader(nil, 300), true)
	failure := AppendError(nil, 300, status.New(status.NotFound, "open", "create it").On("a"))
	for cut := range request {
		sameAtOnce(t, request[:cut])
		if r, err := ParseRequest(request[:cut]); err == nil {
			t.Errorf("request cut to %d: %+v", cut, r)
		}
	}
	for _, b := range [][]byte{answer, failure, request} {
		sameAtOnce(t, b)
		sameAtOnce(t, append(bytes.Clone(b), 0))
	}
	for _, b := range [][]byte{answer, failure} {
		if _, err := ParseResponse(b); err != nil {
			t.Error(err)
		}
		for cut := range b {
			if r, err := ParseResponse(b[:cut]); err == nil {
				t.Errorf("response cut to %d: %+v", cut, r)
			}
		}
		if r, err := ParseResponse(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("a byte behind the response: %+v", r)
		}
	}
	for _, bad := range badRequests {
		if _, err := parseWhole(bad.bytes); status.Of(err) != bad.code {
			t.Errorf("%s: %v, want %s", bad.name, err, bad.code.Name())
		}
	}
	for _, bad := range [][]byte{
		{0x94, 1, 1, 0x90, 0xc0},                   // error of no elements
		{0x94, 1, 1, 0x93, 0, 0xa0, 0xa0, 0xc0},    // error that is success
		{0x94, 1, 1, 0x93, 25, 0xa0, 0xa0, 1},      // error and result
		{0x94, 1, 1, 0x93, 25, 1, 0xa0, 0xc0},      // name of no text
		{0x94, 1, 1, 0xc3, 0xc0},                   // error of another type
		{0x94, 0, 1, 0xc0, 0xc0},                   // a request's type
		{0x93, 1, 1, 0xc0},                         // one too few
		{0x94, 1, 0xff, 0xc0, 0xc0},                // negative id
		{0x94, 1, 1, 0x93, 0xff, 0xa0, 0xa0, 0xc0}, // negative code
	} {
		if r, err := ParseResponse(bad); status.Of(err) != status.BadFrame {
			t.Errorf("% x: %+v, %v", bad, r, err)
		}
	}
}

// The answer to a broken request can carry its id.
func TestBrokenRequestKeepsItsID(t *testing.T) {
	r, err := ParseRequest([]byte{0x94, 0, 9, 0xa1, 'x', 0xc0})
	if status.Of(err) != status.BadFrame || r.ID != 9 || r.Method != "x" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestErrorsSurviveTheWire(t *testing.T) {
	for _, e := range []*status.Error{
		status.New(status.NotFound, "open", "create it first").On("jobs/a"),
		status.New(status.BadName, "create", "it has: a colon").On(`odd "name"`),
		status.New(status.TimedOut, "lock", ""),
		{Code: status.BadParams, Detail: "token: want integer, got str"},
		{Code: status.Code(999), Op: "x"},
		{Code: status.Busy},
		status.New(status.Closed, "disclosed", "closed"),
	} {
		r, err := ParseResponse(AppendError(nil, 7, e))
		if err != nil || r.ID != 7 || r.Err == nil || r.Result != nil {
			t.Fatalf("%v: %+v, %v", e, r, err)
		}
		if r.Err.Error() != e.Error() || !errors.Is(r.Err, e.Code) {
			t.Errorf("%q became %q", e, r.Err)
		}
		if r.Err.Object != e.Object || r.Err.Op != e.Op {
			t.Errorf("%#v became %#v", e, r.Err)
		}
	}
	long := AppendError(nil, 1, status.New(status.Invalid, "x", "%s", strings.Repeat("é", MessageMax)))
	if r, err := ParseResponse(long); err != nil || len(long) > errorTextMax+100 || r.Err.Code != status.Invalid {
		t.Errorf("a long text: %d bytes, %v", len(long), err)
	}
}

// The hand-written appenders write what the library writes, in its compact form.
func TestAppendersAgreeWithLibrary(t *testing.T) {
	check := func(v any, got []byte) {
		t.Helper()
		want, err := Encode(v)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T %.20v: % .20x, want % .20x, %v", v, v, got, want, err)
		}
		if n, err := Scan(got); n != len(got) || err != nil {
			t.Errorf("%.20v: scan %d of %d, %v", v, n, len(got), err)
		}
	}
	for shift := range 64 {
		for _, delta := range []int64{-1, 0, 1} {
			u := uint64(1)<<shift + uint64(delta)
			i := int64(u)
			check(u, AppendUint(nil, u))
			check(i, AppendInt(nil, i))
			check(-i, AppendInt(nil, -i))
			v, negative, size := readInteger(AppendInt(nil, -i))
			if size == 0 || int64(v) != -i || negative != (-i < 0) {
				t.Errorf("%d reads %d %v %d", -i, v, negative, size)
			}
			if v, negative, size := readInteger(AppendUint(nil, u)); size == 0 || v != u || negative {
				t.Errorf("%d reads %d %v %d", u, v, negative, size)
			}
		}
	}
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		check(strings.Repeat("x", n), AppendStr(nil, strings.Repeat("x", n)))
		check(make([]byte, n), AppendBin(nil, make([]byte, n)))
		list := make([]bool, n)
		b := AppendArrayLen(nil, n)
		for range n {
			b = AppendBool(b, false)
		}
		check(list, b)
		var header bytes.Buffer
		_ = msgpack.NewEncoder(&header).EncodeMapLen(n)
		if got := AppendMapLen(nil, n); !bytes.Equal(got, header.Bytes()) {
			t.Errorf("map of %d: % x", n, got)
		}
	}
	check(nil, AppendNil(nil))
	check(true, AppendBool(nil, true))
}

func TestSmallRequestDoesNotAllocate(t *testing.T) {
	frame, answer := requestFrame(), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { answer = serveSmall(frame, answer[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// serveSmall does all that this package does for one small request.
func serveSmall(frame, answer []byte) []byte {
	n, err := Scan(frame)
	if err != nil || n == 0 {
		panic("scan")
	}
	r, err := ParseRequest(frame[:n])
	if err != nil {
		panic(err)
	}
	p, err := NewParams(r.Params)
	if err != nil || p.Arity(3, 3) != nil {
		panic("params")
	}
	_, err1 := p.Uint32("handle")
	_, err2 := p.Int64("index")
	_, err3 := p.Value("value")
	if err1 != nil || err2 != nil || err3 != nil {
		panic("values")
	}
	return AppendNil(AppendResultHeader(answer, r.ID))
}

func BenchmarkSmallRequest(b *testing.B) {
	frame, answer := requestFrame(), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		answer = serveSmall(frame, answer[:0])
	}
}

func BenchmarkScanMegabyte(b *testing.B) {
	frame := AppendArrayLen(nil, MessageMax-5)
	frame = append(frame, make([]byte, MessageMax-5)...)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if n, err := Scan(frame); n != len(frame) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// sameAtOnce wants what scanning and parsing in one finds to be what each finds by itself.
func sameAtOnce(t *testing.T, b []byte) {
	t.Helper()
	size, scanErr := Scan(b)
	request, requestErr := Request{}, scanErr
	response, responseErr := Response{}, scanErr
	if size > 0 {
		request, requestErr = ParseRequest(b[:size])
		response, responseErr = ParseResponse(b[:size])
	}
	var s Scanner
	if r, n, err := s.NextRequest(b); n != size || !reflect.DeepEqual(r, request) ||
		!reflect.DeepEqual(err, requestErr) {
		t.Fatalf("% x: %+v of %d, %v; want %+v of %d, %v", b, r, n, err, request, size, requestErr)
	}
	s.Reset()
	if r, n, err := s.NextResponse(b); n != size || !reflect.DeepEqual(r, response) ||
		!reflect.DeepEqual(err, responseErr) {
		t.Fatalf("% x: %+v of %d, %v; want %+v of %d, %v", b, r, n, err, response, size, responseErr)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(requestFrame())
	f.Add(AppendCancel(nil, 1))
	for _, bad := range badRequests {
		if len(bad.bytes) < 64 {
			f.Add(bad.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if code := status.Of(err); err != nil && code != status.BadFrame && code != status.TooLarge {
			t.Fatal(err)
		}
		sameAtOnce(t, b)
		if _, err := ParseResponse(b); err == nil && r.Params != nil {
			t.Fatal("both request and response")
		}
		if err != nil {
			return
		}
		if n, err := Scan(b); n != len(b) || err != nil {
			t.Fatalf("scan finds %d of %d, %v", n, len(b), err)
		}
		again := AppendRequestHeader(nil, r.ID, r.Method, 0)
		if second, err := ParseRequest(again); err != nil || second.ID != r.ID || second.Method != r.Method {
			t.Fatalf("%+v, again %+v, %v", r, second, err)
		}
	})
}
