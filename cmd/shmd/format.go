package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shmd/shmd/wire"
)

// document is a JSON object that keeps the order of its keys.
type document []entry

type entry struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (d document) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", e.key, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// documentOf is a message of package wire under the names it has on the wire,
// so that --json and the protocol speak alike.
func documentOf(message any) document {
	return structDocument(nil, reflect.ValueOf(message))
}

func structDocument(d document, v reflect.Value) document {
	for i := range v.NumField() {
		key, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("msgpack"), ",")
		if option == "inline" {
			d = structDocument(d, v.Field(i))
			continue
		}
		if option == "omitempty" && v.Field(i).Kind() != reflect.Pointer && v.Field(i).IsZero() {
			continue // of another kind of object
		}
		d = append(d, entry{key, plain(v.Field(i))})
	}
	return d
}

func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		return structDocument(nil, v)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = plain(v.Index(i))
		}
		return items
	}
	return v.Interface()
}

// emit writes one JSON line.
func (a *app) emit(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printf writes text to stdout.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// table collects rows and writes them in aligned columns.
type table struct {
	out *tabwriter.Writer
}

func (a *app) newTable(header ...string) *table {
	t := &table{tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)}
	if len(header) > 0 {
		t.row(header...)
	}
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintln(t.out, strings.Join(cells, "\t")) // kept in memory until flush
}

func (t *table) flush() error { return t.out.Flush() }

func decimal[T int | int32 | int64 | uint32 | uint64](n T) string { return fmt.Sprint(n) }

func modeText(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// shapeText is 3x4; "-" without dimensions.
func shapeText(shape []uint64) string {
	var parts []string
	for _, n := range shape {
		parts = append(parts, strconv.FormatUint(n, 10))
	}
	return orDash(strings.Join(parts, "x"))
}

// typeText is what an object consists of, in a word.
func typeText(o *wire.Info) string { return orDash(o.Code + o.Content) } // none has both

// extentText is how much an object holds.
func extentText(o *wire.Info) string {
	switch o.Kind {
	case wire.KindQueue:
		return decimal(o.MaxSize)
	case wire.KindBarrier:
		return decimal(o.Parties)
	}
	return shapeText(o.Shape)
}

// lockText is the kind of lock an object has; a mutex is one.
func lockText(o *wire.Info) string {
	switch {
	case o.Lock == "": // a mutex, or nothing that a lock guards
		return orDash(strings.Join(o.Flags, ","))
	case o.Lock == wire.LockForeign:
		return fmt.Sprintf("id:%d", o.LockID)
	}
	return o.Lock
}

// nameText is what to call an object by.
func nameText(o *wire.Info) string {
	if o.Name == "" {
		return fmt.Sprintf("id:%d", o.ID)
	}
	return o.Name
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// timeText is a time of CLOCK_REALTIME in the local zone.
func timeText(ns int64) string { return time.Unix(0, ns).Format(time.RFC3339) }

// plural is "1 seat", "2 seats".
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
