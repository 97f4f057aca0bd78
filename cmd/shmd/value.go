package main

import (
	"encoding/json"
	"errors"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// parseValue reads one value of a type code.
func parseValue(op string, code ctypes.Code, text string) (uint64, error) {
	bits, err := ctypes.ParseText(code, text)
	if err != nil {
		return 0, valueError(op, err)
	}
	return bits, nil
}

// valueError gives an error of package ctypes its status code. Its text names
// the value and the range.
func valueError(op string, err error) error {
	code := status.BadType
	if tooLarge := (*ctypes.RangeError)(nil); errors.As(err, &tooLarge) {
		code = status.OutOfRange
	}
	return status.Wrap(code, op, err, "the object is unchanged")
}

// valuesToMemory parses values into elements back to back.
func valuesToMemory(op string, code ctypes.Code, texts []string) ([]byte, error) {
	mem := make([]byte, len(texts)*code.Size())
	for i, text := range texts {
		bits, err := parseValue(op, code, text)
		if err != nil {
			return nil, err
		}
		ctypes.StoreBits(code, mem[i*code.Size():], bits)
	}
	return mem, nil
}

// memoryToBits is the inverse: one bit pattern for each element.
func memoryToBits(code ctypes.Code, mem []byte) []uint64 {
	all := make([]uint64, 0, len(mem)/code.Size())
	for ; len(mem) > 0; mem = mem[code.Size():] {
		all = append(all, ctypes.LoadBits(code, mem))
	}
	return all
}

// jsonValue is an element for --json: a number or a boolean where JSON has it,
// else the text that `set` reads back, as for inf, nan and characters.
func jsonValue(code ctypes.Code, bits uint64) any {
	text := ctypes.FormatText(code, bits)
	switch code.Kind() {
	case ctypes.KindInt, ctypes.KindUint, ctypes.KindFloat, ctypes.KindBool:
		if json.Valid([]byte(text)) { // not inf, not nan
			return json.RawMessage(text)
		}
	}
	return text
}

// fromWire is the bit pattern of a value that the daemon sent.
func fromWire(op string, code ctypes.Code, v any) (uint64, error) {
	bits, err := ctypes.Encode(code, v)
	if err != nil {
		return 0, status.Wrap(status.BadFrame, op, err, "the daemon's answer")
	}
	return bits, nil
}
