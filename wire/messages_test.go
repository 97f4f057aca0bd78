package wire

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

// keysOf returns the keys of an encoded map in their order.
func keysOf(t *testing.T, v any) (keys []string) {
	t.Helper()
	raw, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMapReader(raw)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	for {
		key, value, ok, err := m.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return keys
		}
		if value[0] == mpNil && key != "held" && key != "last_death" {
			t.Errorf("%T: %s is nil", v, key)
		}
		keys = append(keys, key)
	}
}

const infoKeys = "id name kind code shape length item_size flags lock lock_id seats_max mode uid gid lifetime " +
	"created_ns segment_size"

// The keys are those of PROTOCOL.md, embedded structs stand in the same map,
// and nothing but what may be is nil or left out.
func TestMessagesHaveTheKeysOfTheProtocol(t *testing.T) {
	attachmentKeys := infoKeys + " handle created access seat owner data_offset data_size seats_offset"
	for _, test := range []struct {
		v    any
		keys string
	}{
		{HelloResult{}, "version server epoch client uid pid message_max seats_default abi_version " +
			"abi_compat abi_fingerprint " +
			"resumable"},
		{Info{}, infoKeys},
		{Attachment{}, attachmentKeys},
		{Attachment{LockHandle: new(uint64(0)), LockOwner: new(uint32(0))}, attachmentKeys + " lock_handle lock_owner"},
		{Stat{}, infoKeys + " state linked handles version dirty seats held inconsistent waiters deaths last_death"},
		{Seat{}, "seat pid uid client waiting mapped zombie holds"},
		{Held{}, "seat pid uid depth"},
		{Notice{}, "seat pid uid died_ns deaths"},
		{Status{}, "server epoch pid uptime_ns objects bytes clients zombies waiting budget_bytes deaths recoveries " +
			"last_recovery_ns"},
		{ClientInfo{}, "client pid uid gid software objects mapped zombie"},
		{QuotaResult{}, "users pools next"},
		{QuotaUser{}, "uid uses"},
		{QuotaUse{}, "resource used max"},
		{ListResult{}, "objects next"},
		{ReadResult{Values: []byte{0x90}}, "values version dirty"},
		{MapResult{}, "size fds"},
		{Arrival{}, "index leader"},
		{Barrier{}, "parties waiting broken reasons acting generation last_death"},
		{Stat{Set: true, Waiting: 1, Broken: true, Readers: 1}, infoKeys + " state linked handles version dirty " +
			"seats held inconsistent waiters deaths last_death set waiting broken readers"},
		{Info{Parties: 1}, infoKeys + " parties"},
		{Info{MessageMax: 1, Capacity: 1}, infoKeys + " message_max capacity"},
		{Attachment{Role: EndA}, attachmentKeys + " role"},
		{Stat{Rings: []Ring{{}}}, infoKeys + " state linked handles version dirty seats held inconsistent waiters " +
			"deaths last_death rings"},
		{Ring{Producer: &Holder{}, Consumer: &Holder{}, Ended: EndedDied}, "used_bytes producer consumer ended"},
		{Holder{}, "seat pid"},
		{CreateOptions{}, ""},
		{OpenOptions{}, ""},
	} {
		keys, want := keysOf(t, test.v), strings.Fields(test.keys)
		if !slices.Equal(keys, want) {
			t.Errorf("%T has %q, want %q", test.v, keys, want)
		}
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	info := Info{ID: 1 << 40, Name: "a", Shape: []uint64{2, 3}, Flags: []string{FlagStrict}, CreatedNS: 1 << 60}
	for _, v := range []any{
		&HelloResult{Version: 1, Server: "s", PID: 7, ABIFingerprint: 1<<64 - 1},
		&Attachment{Info: info, Handle: 3, LockHandle: new(uint64(4)), LockOwner: new(uint32(5))},
		&Stat{Info: info, Seats: []Seat{{Seat: 1, Zombie: true}}, Held: &Held{Depth: 2}, LastDeath: &Notice{Deaths: 3}},
		&ListResult{Objects: []Info{info, info}, Next: "b"},
		&ReadResult{Values: []byte{0x92, 1, 2}, Version: 9, Dirty: true},
		&List[ClientInfo]{{Client: 1, Software: "x"}},
		&QuotaResult{Users: List[QuotaUser]{{UID: 7, Uses: List[QuotaUse]{{Resource: "bytes", Used: 1, Max: 1 << 60}}}},
			Pools: List[QuotaUse]{{Resource: "seats"}}, Next: 9},
		&Barrier{Parties: 3, Broken: true, Reasons: []string{ReasonDeath}, Generation: 1 << 33,
			LastDeath: &Notice{Seat: 2}},
		&Arrival{Index: 4093, Leader: true},
	} {
		raw, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(v).Elem())
		if err := Decode(raw, got.Interface()); err != nil || !reflect.DeepEqual(got.Interface(), v) {
			t.Errorf("%+v became %+v, %v", v, got, err)
		}
		if err := Decode(append(raw, 0), got.Interface()); status.Of(err) != status.BadFrame {
			t.Errorf("%T with a byte behind: %v", v, err)
		}
		if err := Decode(raw[:len(raw)-1], got.Interface()); status.Of(err) != status.BadFrame {
			t.Errorf("%T cut: %v", v, err)
		}
	}
	if raw, err := Encode(List[ClientInfo](nil)); err != nil || !bytes.Equal(raw, []byte{0x90}) {
		t.Errorf("an empty list is % x, %v", raw, err)
	}
	var m MapResult
	newer, _ := Encode(map[string]any{"size": 5, "colour": []string{"red"}})
	if err := Decode(newer, &m); err != nil || m.Size != 5 {
		t.Errorf("an unknown key: %+v, %v", m, err)
	}
	if err := Decode(AppendStr(nil, "x"), &m); status.Of(err) != status.BadFrame {
		t.Errorf("a str for a map: %v", err)
	}
}

func TestOptionsSurviveTheWire(t *testing.T) {
	for _, o := range []CreateOptions{
		{},
		{Code: new("d"), Length: new(uint64(5)), Shape: []uint64{5}, Init: msgpack.RawMessage{0x91, 1}, Lock: "@a",
			Recursive: new(false), UnlockAny: new(true), Strict: new(true), SeatsMax: new(uint32(2)),
			Mode: new(uint32(0)), Lifetime: new("")},
		{Lock: uint64(300)},
		{AutoReset: new(true), Set: new(false), Parties: new(uint32(3)), Map: new(true)},
	} {
		raw, err := Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeCreateOptions(raw)
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%+v became %+v, %v", o, got, err)
		}
	}
	open := OpenOptions{Access: new("r"), Kind: new("value"), Code: new("i"), Length: new(uint64(0)),
		Shape: []uint64{1}, Party: new(true), Map: new(true)}
	raw, _ := Encode(open)
	if got, err := DecodeOpenOptions(raw); err != nil || !reflect.DeepEqual(got, open) {
		t.Errorf("%+v became %+v, %v", open, got, err)
	}
}

func TestOptionsAreStrict(t *testing.T) {
	long, _ := Encode(map[string]any{"shape": make([]int, 10000)})
	if o, err := DecodeCreateOptions(long); err != nil || len(o.Shape) != shapeMax {
		t.Errorf("a long shape: %d, %v", len(o.Shape), err)
	}
	empty, _ := Encode(map[string]any{"shape": []int{}})
	if o, err := DecodeCreateOptions(empty); err != nil || o.Shape == nil {
		t.Errorf("an empty shape is absent: %v", err)
	}
	twice := AppendMapLen(nil, 2)
	for range 2 {
		twice = AppendStr(AppendStr(twice, "code"), "i")
	}
	for _, test := range []struct {
		raw  []byte
		code status.Code
		want string
	}{
		{[]byte{0xc0}, status.BadParams, "options: want map, got nil"},
		{[]byte{0x81, 1, 1}, status.BadParams, "want str"},
		{[]byte{0x81, 0xa1, 'x', 1}, status.Invalid, `unknown option "x"`},
		{[]byte{0x81, 0xa4, 'c', 'o', 'd', 'e', 1}, status.BadParams, "code: want str, got integer"},
		{[]byte{0x81, 0xa4, 'c', 'o', 'd', 'e', 0xc0}, status.BadParams, "code: want str, got nil"},
		{twice, status.Invalid, `"code" is given twice`},
	} {
		_, err1 := DecodeCreateOptions(test.raw)
		_, err2 := DecodeOpenOptions(test.raw)
		for _, err := range []error{err1, err2} {
			if status.Of(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("% x: %v, want %s", test.raw, err, test.want)
			}
		}
	}
}

// A decoder from the pool remembers nothing of its last value.
func TestPooledDecoderIsFresh(t *testing.T) {
	for i := range 3 {
		d := ToDecoder(AppendUint(AppendUint(nil, uint64(i)), 99))
		if v, err := d.DecodeInt(); err != nil || v != i {
			t.Error(v, err)
		}
		ReleaseDecoder(d)
	}
	raw := bytes.Repeat([]byte{1}, 10)
	if n := testing.AllocsPerRun(100, func() { ReleaseDecoder(ToDecoder(raw)) }); n > 0.5 {
		t.Errorf("%v allocations", n)
	}
}

// A message is decoded as the library would: into the room that is there, and an empty one
// is not nil. What is no bin gets the library's answer.
func TestDecodeBytes(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 70_000)
	for _, message := range [][]byte{{}, []byte("a"), long[:255], long[:256], long} {
		var got []byte
		if err := Decode(AppendBin(nil, message), &got); err != nil || got == nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes: %d, nil %v, %v", len(message), len(got), got == nil, err)
		}
	}
	room := make([]byte, 3, 100)
	got := room
	if err := Decode(AppendBin(nil, []byte("ab")), &got); err != nil || string(got) != "ab" || &got[0] != &room[0] {
		t.Errorf("into room: %q, %v", got, err)
	}
	if err := Decode(AppendNil(nil), &got); err != nil || got != nil {
		t.Errorf("nil: %v, %v", got, err)
	}
	if err := Decode(append(AppendBin(nil, []byte("ab")), 0), &got); status.Of(err) != status.BadFrame {
		t.Errorf("a byte behind it: %v", err)
	}
	if err := Decode(AppendBin(nil, []byte("ab"))[:3], &got); status.Of(err) != status.BadFrame {
		t.Errorf("cut off: %v", err)
	}
	if err := Decode(AppendUint(nil, 7), &got); status.Of(err) != status.BadFrame {
		t.Errorf("no bin: %v", err)
	}
}
