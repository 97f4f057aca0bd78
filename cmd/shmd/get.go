package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// readMax is how many elements surely fit a message: none takes more than 9
// bytes.
const readMax = (wire.MessageMax - 1024) / 9

func (a *app) newGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get NAME [INDEX|START:END]",
		Short: "Print a value, or elements of an array",
		Long: `Print a value, one element of an array, a range of it, or all of it.

INDEX is a number, or one for each dimension as in 1,2. START:END counts elements
row by row, from START to just before END; either may be left out.

A line holds one element, or, when all of an array of several dimensions is printed,
a row of the last dimension. One element is read atomically. A range is one consistent
cut: it waits for a writer to finish. Only if it does not fit a message of the
protocol (some 100,000 elements) it is read in parts, and a warning says so when the
array may have changed meanwhile.

The text is what set reads back: floats in the fewest digits that keep them exact,
characters that are not visible as \xNN or U+XXXX.`,
		Example: `shmd create x value --code i --init 5
shmd get x
shmd create grid array --code d --shape 2x3 --init 1,2,3,4,5,6.5
shmd get grid
shmd get grid 1,2
shmd get grid 2:5
shmd get grid --json`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withData(cmd, args[0], wire.AccessRead, func(ctx context.Context, d *dataObject) error {
				if len(args) == 1 && d.info.Kind == wire.KindValue {
					return a.getElement(ctx, d, selection{single: true})
				}
				s := selection{count: d.info.Length}
				if len(args) == 2 {
					var err error
					if s, err = d.selection(args[1]); err != nil {
						return err
					}
				}
				if s.single {
					return a.getElement(ctx, d, s)
				}
				return a.getRange(ctx, d, s, len(args) == 1)
			})
		},
	}
}

// dataObject is an open value or array.
type dataObject struct {
	*openObject
	code ctypes.Code
}

// withData opens a value or an array, runs f and closes everything.
func (a *app) withData(cmd *cobra.Command, name, access string,
	f func(ctx context.Context, d *dataObject) error) error {
	return a.withObject(cmd, name, access, func(ctx context.Context, o *openObject) error {
		if o.info.Code == "" {
			return status.New(status.KindMismatch, cmd.Name(),
				"it is a %s, which has no data: want a value or an array", o.info.Kind)
		}
		code, err := ctypes.Parse(o.info.Code)
		if err != nil {
			return status.Wrap(status.Version, cmd.Name(), err, "use equal builds")
		}
		return f(ctx, &dataObject{o, code})
	})
}

// selection reads an index or a range of this object.
func (d *dataObject) selection(text string) (selection, error) {
	return parseSelection("get", text, d.info.Shape, d.info.Length)
}

func (a *app) getElement(ctx context.Context, d *dataObject, s selection) error {
	var v any
	if err := d.call(ctx, wire.MethodGet, &v, s.start); err != nil {
		return err
	}
	bits, err := fromWire("get", d.code, v)
	if err != nil {
		return err
	}
	if !a.json {
		return a.printf("%s\n", ctypes.FormatText(d.code, bits))
	}
	return a.emit(append(d.head(), entry{"index", s.start}, entry{"value", jsonValue(d.code, bits)}))
}

// head is how --json begins for values and arrays.
func (d *dataObject) head() document {
	return append(d.openObject.head(), entry{"code", d.info.Code})
}

func (a *app) getRange(ctx context.Context, d *dataObject, s selection, rows bool) error {
	all, version, dirty, err := a.readAll(ctx, d, s)
	if err != nil {
		return err
	}
	if dirty {
		a.warn("%q is dirty: a writer died, and nobody marked the data consistent since", d.name)
	}
	if a.json {
		values := make([]any, len(all))
		for i, bits := range all {
			values[i] = jsonValue(d.code, bits)
		}
		return a.emit(append(d.head(), entry{"shape", d.info.Shape}, entry{"start", s.start}, entry{"values", values},
			entry{"version", version}, entry{"dirty", dirty}))
	}
	perLine := 1
	if dims := d.info.Shape; rows && len(dims) > 1 {
		perLine = int(dims[len(dims)-1])
	}
	var text strings.Builder
	for i, bits := range all {
		text.WriteString(ctypes.FormatText(d.code, bits))
		if (i+1)%perLine == 0 {
			text.WriteByte('\n')
		} else {
			text.WriteByte(' ')
		}
	}
	return a.printf("%s", text.String())
}

// readAll reads in as few messages as possible; version is that of the first.
func (a *app) readAll(ctx context.Context, d *dataObject, s selection) (all []uint64, version uint64, dirty bool,
	err error) {
	all = make([]uint64, 0, s.count)
	for first := true; first || uint64(len(all)) < s.count; first = false {
		count := min(s.count-uint64(len(all)), readMax)
		var part wire.ReadResult
		if err := d.call(ctx, wire.MethodRead, &part, s.start+uint64(len(all)), count); err != nil {
			return nil, 0, false, err
		}
		decoder := wire.ToDecoder(part.Values)
		mem, err := ctypes.DecodeMsgpackSlice(decoder, d.code, int(count))
		wire.ReleaseDecoder(decoder)
		if err != nil || len(mem) != int(count)*d.code.Size() {
			return nil, 0, false, status.Wrap(status.BadFrame, "get", err, "the daemon's answer to read %d elements",
				count)
		}
		all = append(all, memoryToBits(d.code, mem)...)
		dirty = dirty || part.Dirty
		if first {
			version = part.Version
		} else if part.Version != version {
			a.warn("%q may have changed while it was read in parts: they may not belong together", d.name)
			version = part.Version
		}
	}
	return all, version, dirty, nil
}
