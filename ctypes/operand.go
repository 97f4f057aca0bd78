package ctypes

import (
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
)

// form is the sort of a value on its way into a code.
type form uint8

const (
	formOther   form = iota // nothing that any code takes; see operand.name
	formInt                 // a negative integer, bits in two's complement
	formUint                // an integer from 0 on
	formBool                // bits are 0 or 1
	formFloat64             // bits as math.Float64bits
	formFloat32             // bits as math.Float32bits
	formHalf                // bits of a Half
	formText                // a string
	formBytes               // a byte string
)

// operand is a value on its way into a code, wherever it comes from: a Go
// value, a msgpack value or a text. It exists so that all three obey the same
// rules and give the same errors, without an allocation per value.
type operand struct {
	form   form
	bits   uint64            // the number, by form
	length int               // of text or bytes
	data   [utf8.UTFMax]byte // the text or bytes if length <= UTFMax
	name   string            // formOther: what it is
}

// intOperand returns the operand of a signed integer.
func intOperand(i int64) operand {
	if i < 0 {
		return operand{form: formInt, bits: uint64(i)}
	}
	return operand{form: formUint, bits: uint64(i)}
}

// uintOperand returns the operand of an unsigned integer.
func uintOperand(u uint64) operand {
	return operand{form: formUint, bits: u}
}

// boolOperand returns the operand of a bool.
func boolOperand(b bool) operand {
	if b {
		return operand{form: formBool, bits: 1}
	}
	return operand{form: formBool}
}

// operandOf returns the operand of a Go value. Types that are defined as a
// number, a bool, a string or a byte slice count as what they are defined as.
func operandOf(v any) operand {
	switch v := v.(type) {
	case nil:
		return operand{name: "nil"}
	case Half: // before the kinds, for it is no integer
		return operand{form: formHalf, bits: uint64(v)}
	case int:
		return intOperand(int64(v))
	case int64:
		return intOperand(v)
	case uint64:
		return uintOperand(v)
	case float64:
		return operand{form: formFloat64, bits: math.Float64bits(v)}
	case float32:
		return operand{form: formFloat32, bits: uint64(math.Float32bits(v))}
	case bool:
		return boolOperand(v)
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return intOperand(r.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32,
		reflect.Uint64, reflect.Uintptr:
		return uintOperand(r.Uint())
	case reflect.Float32:
		return operand{form: formFloat32, bits: uint64(math.Float32bits(float32(r.Float())))}
	case reflect.Float64:
		return operand{form: formFloat64, bits: math.Float64bits(r.Float())}
	case reflect.Bool:
		return boolOperand(r.Bool())
	case reflect.String:
		o := operand{form: formText, length: r.Len()}
		copy(o.data[:], r.String())
		return o
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			o := operand{form: formBytes, length: r.Len()}
			copy(o.data[:], r.Bytes())
			return o
		}
	}
	return operand{name: clip(fmt.Sprintf("%T", v))}
}

// float returns the number of a float form as a float64.
func (o *operand) float() float64 {
	switch o.form {
	case formFloat32:
		return widen(uint32(o.bits))
	case formHalf:
		return Half(o.bits).Float64()
	default:
		return math.Float64frombits(o.bits)
	}
}

// value returns the number for a RangeError.
func (o *operand) value() any {
	switch o.form {
	case formInt:
		return int64(o.bits)
	case formFloat64, formFloat32, formHalf:
		return o.float()
	default:
		return o.bits
	}
}
