package interop

import (
	"context"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/ctypes"
)

// operand parses one or two texts and does something with them.
func operand[T ctypes.Element](c ctypes.Code, text string, do func(x T) (T, error)) (string, error) {
	x, err := fromText[T](c, text)
	if err != nil {
		return "", err
	}
	before, err := do(x)
	return toText(c, before), err
}

func operands[T ctypes.Element](c ctypes.Code, text1, text2 string,
	do func(x, y T) (bool, T, error)) (bool, string, error) {
	swapped := false
	before, err := operand(c, text1, func(x T) (before T, err error) {
		y, err := fromText[T](c, text2)
		if err == nil {
			swapped, before, err = do(x, y)
		}
		return before, err
	})
	return swapped, before, err
}

// goValue is a value; the index must be 0.
type goValue[T ctypes.Element] struct{ *shmd.Value[T] }

func (v goValue[T]) load(int) (string, error) {
	x, err := v.Load()
	return toText(v.Code(), x), err
}

func (v goValue[T]) store(_ int, text string) error {
	_, err := operand(v.Code(), text, func(x T) (T, error) { return x, v.Store(x) })
	return err
}

func (v goValue[T]) add(_ int, text string) (string, error) { return operand(v.Code(), text, v.Add) }

func (v goValue[T]) exchange(_ int, text string) (string, error) {
	return operand(v.Code(), text, v.Exchange)
}

func (v goValue[T]) cas(_ int, expected, desired string) (bool, string, error) {
	return operands(v.Code(), expected, desired, v.CompareExchange)
}

func (v goValue[T]) read(int, int) ([]string, bool, error) { return nil, false, errCommand }

func (v goValue[T]) write(int, []string) error { return errCommand }

func (v goValue[T]) shape() []string { return []string{v.Code().String(), "1"} }

// goArray is an array.
type goArray[T ctypes.Element] struct{ *shmd.Array[T] }

func (a goArray[T]) load(i int) (string, error) {
	x, err := a.Load(i)
	return toText(a.Code(), x), err
}

func (a goArray[T]) store(i int, text string) error {
	_, err := operand(a.Code(), text, func(x T) (T, error) { return x, a.Store(i, x) })
	return err
}

func (a goArray[T]) add(i int, text string) (string, error) {
	return operand(a.Code(), text, func(x T) (T, error) { return a.Add(i, x) })
}

func (a goArray[T]) exchange(i int, text string) (string, error) {
	return operand(a.Code(), text, func(x T) (T, error) { return a.Exchange(i, x) })
}

func (a goArray[T]) cas(i int, expected, desired string) (bool, string, error) {
	return operands(a.Code(), expected, desired, func(x, y T) (bool, T, error) { return a.CompareExchange(i, x, y) })
}

func (a goArray[T]) read(start, count int) ([]string, bool, error) {
	xs := make([]T, count)
	_, dirty, err := a.Read(context.Background(), start, xs)
	if err != nil {
		return nil, false, err
	}
	texts := make([]string, count)
	for i, x := range xs {
		texts[i] = toText(a.Code(), x)
	}
	return texts, dirty, nil
}

func (a goArray[T]) write(start int, texts []string) error {
	xs, err := fromTexts[T](a.Code(), texts)
	if err == nil {
		_, err = a.Write(context.Background(), start, xs) // a notice stays for who locks
	}
	return err
}

func (a goArray[T]) shape() []string { return []string{a.Code().String(), strconv.Itoa(a.Len())} }
