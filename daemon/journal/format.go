package journal

import (
	"fmt"
	"hash/fnv"
	"reflect"
)

// format names the records as this build writes them: ops, fields, their order and types.
// A journal of another format is refused, never misread.
var format = func() uint64 {
	h := fnv.New64a()
	for op, maker := range makers {
		if maker != nil {
			fmt.Fprint(h, op, describe(reflect.TypeOf(maker()).Elem()))
		}
	}
	return h.Sum64()
}()

// describe names a type by what is in it.
func describe(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return t.String()
	}
	text := ""
	for i := range t.NumField() {
		text += t.Field(i).Name + " " + describe(t.Field(i).Type) + ";"
	}
	return "{" + text + "}"
}
