package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/wire"
)

func (a *app) newSet() *cobra.Command {
	var delta string
	cmd := &cobra.Command{
		Use:   "set NAME [INDEX] VALUE...",
		Short: "Write a value, or elements of an array",
		Long: `Write a value, one element of an array, or, with several values, the elements from
INDEX on. An array needs its INDEX, a value has none.

One element is written atomically, without the lock. Several are written under the
lock of the array as one change, so that no consistent reader sees half of it; set
waits for the lock as long as it takes.

--add DELTA adds atomically instead, and prints the value before. It takes no VALUE,
and works on types of 4 and 8 bytes.

A value that the type cannot hold is an error that names the range; nothing wraps
around, and nothing is written. Numbers may be decimal or hexadecimal (0x1F);
characters stand for themselves or as \xNN or U+XXXX.`,
		Example: `shmd create x value --code i
shmd set x -5
shmd set x --add 7
shmd get x
shmd create grid array --code d --shape 3x4
shmd set grid 1,2 0.5
shmd set grid 0 1 2 3 4
shmd get grid`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			adding := cmd.Flags().Changed("add")
			if len(args) == 1 && !adding {
				return usage("which VALUE? try: shmd set --help")
			}
			return a.withData(cmd, args[0], wire.AccessReadWrite, func(ctx context.Context, d *dataObject) error {
				index, values, err := d.target(args[1:])
				switch {
				case err != nil:
					return err
				case adding && len(values) > 0:
					return usage("--add takes no VALUE")
				case adding:
					return a.add(ctx, d, index, delta)
				case len(values) == 0:
					return usage("which VALUE? %q is an array: want INDEX VALUE...", d.name)
				}
				return a.set(ctx, d, index, values)
			})
		},
	}
	cmd.Flags().StringVar(&delta, "add", "", "add `DELTA` and print the value before")
	return cmd
}

// target splits what follows the name into index and values.
func (d *dataObject) target(args []string) (index uint64, values []string, err error) {
	if d.info.Kind == wire.KindValue {
		if len(args) > 1 {
			return 0, nil, usage("%q is a value: want one VALUE and no index", d.name)
		}
		return 0, args, nil
	}
	if len(args) == 0 {
		return 0, nil, usage("%q is an array: want an INDEX", d.name)
	}
	index, err = parseIndex("set", args[0], d.info.Shape, d.info.Length)
	return index, args[1:], err
}

func (a *app) set(ctx context.Context, d *dataObject, index uint64, texts []string) error {
	mem, err := valuesToMemory("set", d.code, texts)
	if err != nil {
		return err
	}
	// All bits are looked at before any is sent: half a write is no write.
	values := make([]any, len(texts))
	for i, bits := range memoryToBits(d.code, mem) {
		if values[i], err = ctypes.Decode(d.code, bits); err != nil {
			return valueError("set", err)
		}
	}
	switch {
	case len(values) == 1:
		err = d.call(ctx, wire.MethodSet, nil, index, values[0])
	case d.code == ctypes.CodeChar:
		err = d.call(ctx, wire.MethodWrite, nil, index, mem)
	default:
		err = d.call(ctx, wire.MethodWrite, nil, index, values)
	}
	if err != nil || !a.json {
		return err
	}
	return a.emit(append(d.head(), entry{"index", index}, entry{"count", len(values)}))
}

func (a *app) add(ctx context.Context, d *dataObject, index uint64, text string) error {
	delta, err := parseDelta(d.code, text)
	if err != nil {
		return err
	}
	var v any
	if err := d.call(ctx, wire.MethodAdd, &v, index, delta); err != nil {
		return err
	}
	bits, err := fromWire("set", d.code, v)
	if err != nil {
		return err
	}
	if !a.json {
		return a.printf("%s\n", ctypes.FormatText(d.code, bits))
	}
	return a.emit(append(d.head(), entry{"index", index}, entry{"before", jsonValue(d.code, bits)}))
}

// parseDelta reads what is to be added. It may be negative for an unsigned type:
// what counts is the sum, and that is the daemon's to judge.
func parseDelta(code ctypes.Code, text string) (any, error) {
	wide := ctypes.CodeDouble
	switch code.Kind() {
	case ctypes.KindUint:
		if wide = ctypes.CodeULongLong; negative.MatchString(text) {
			wide = ctypes.CodeLongLong
		}
	case ctypes.KindInt:
		wide = ctypes.CodeLongLong
	}
	bits, err := parseValue("set", wide, text)
	if err != nil {
		return nil, err
	}
	return ctypes.Decode(wide, bits)
}
