package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// ringKinds are the kinds that send and recv are for.
var ringKinds = []string{wire.KindStream, wire.KindPipe}

// endFlag is --end.
type endFlag string

func (e *endFlag) register(cmd *cobra.Command) {
	cmd.Flags().Var(e, "end", "pipe: which end to have (default any that is free)")
	cmd.Flags().Lookup("end").DefValue = ""
}

// Set implements pflag.Value.
func (e *endFlag) Set(text string) error {
	if !slices.Contains([]string{wire.EndA, wire.EndB, wire.EndAny}, text) {
		return fmt.Errorf("%q is no end: want a, b or any", text)
	}
	*e = endFlag(text)
	return nil
}

// String implements pflag.Value.
func (e *endFlag) String() string { return string(*e) }

// Type implements pflag.Value.
func (*endFlag) Type() string { return "END" }

// withRole opens a stream in a role, or a pipe at an end, which the command has until it
// ends.
func (a *app) withRole(cmd *cobra.Command, kinds []string, name, role string, end endFlag,
	f func(ctx context.Context, o *openObject) error) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
		var found wire.Info
		if err := c.Call(ctx, wire.MethodStat, &found, ref); err != nil {
			return on(name, err)
		}
		switch {
		case !slices.Contains(kinds, found.Kind):
			return status.New(status.KindMismatch, cmd.Name(), "its kind is %s: want %s", found.Kind, oneOf(kinds)).
				On(name)
		case found.Kind == wire.KindStream && end != "":
			return usage("%q is a stream, which has no --end: that is of pipes", name)
		case found.Kind == wire.KindPipe && end == "":
			role = wire.EndAny
		case found.Kind == wire.KindPipe:
			role = string(end)
		}
		o := &openObject{client: c, name: name}
		if err := c.Call(ctx, wire.MethodOpen, &o.info, found.ID, wire.OpenOptions{Role: &role}); err != nil {
			return on(name, err)
		}
		return on(name, f(ctx, o)) // the role goes with the connection, which says goodbye
	})
}

// ringText is a stream or a pipe, for stat.
func ringText(s *wire.Stat) string {
	what := "messages of at most " + plural(uint64(s.MessageMax), "byte")
	if slices.Contains(s.Flags, wire.FlagBytes) {
		what = "bytes"
	}
	return fmt.Sprintf("%s, in %s of %s", what, plural(uint64(len(s.Rings)), "ring"),
		plural(uint64(s.Capacity), "byte"))
}

// showRings writes the lines of stat about who sends to whom.
func showRings(line func(key, format string, args ...any), s *wire.Stat) {
	keys := []string{"ring"}
	if s.Kind == wire.KindPipe {
		keys = []string{"a to b", "b to a"}
	}
	for i, ring := range s.Rings {
		words := []string{plural(ring.UsedBytes, "byte") + " under way", "from " + holderText(ring.Producer),
			"to " + holderText(ring.Consumer)}
		switch ring.Ended {
		case wire.EndedClosed:
			words = append(words, "its sender has ended")
		case wire.EndedDied:
			words = append(words, "its sender died")
		}
		line(keys[i%len(keys)], "%s", strings.Join(words, ", "))
	}
}

func holderText(h *wire.Holder) string {
	if h == nil {
		return "nobody"
	}
	return fmt.Sprintf("process %d (seat %d)", h.PID, h.Seat)
}
