package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

const fsckLong = `Compare the words of objects with the rules of their layout, and say which word is
wrong, what is wrong with it, and what a repair would make of it. Without NAME all objects
that have one are checked.

  ok    all words are in order
  note  some words could not be judged, and why: others were at work at every look, say
  bad   a word that cannot be right, and where it lies in the segment

A check changes nothing, stops nobody, and may run while others work. It needs permission
to read the object.

--repair puts right what is bad, and says what that cost. What clients hold stays, and so
do messages, where their words can be right; a lock, a role or a slot in the name of
nobody comes back as after a death. It is for the owner of an object, and root. Somebody
had written over the object: find out who, or it will happen again. While that goes on,
the object is damaged again at once.`

const fsckExit = `0   nothing is bad, or all of it was repaired
1   something is bad; or the message says what failed
2   wrong usage
75  nothing is bad, as far as could be judged: try again later`

func (a *app) newFsck() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "fsck [NAME...]",
		Short: "Look for damage in objects, and repair it",
		Long:  fsckLong,
		Example: `shmd create jobs/todo queue
shmd fsck
shmd fsck jobs/todo --json
shmd fsck --repair jobs/todo`,
		ValidArgsFunction: a.completeNames,
		Annotations:       map[string]string{sectionExit: fsckExit},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				if len(args) > 0 {
					return a.fsck(ctx, c, args, repair)
				}
				err := eachObject(ctx, c, "", func(o shmd.Info) error {
					args = append(args, o.Name)
					return nil
				})
				return errors.Join(err, a.fsck(ctx, c, args, repair))
			})
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "put right what is bad")
	return cmd
}

// fsck checks or repairs objects, one after the other.
func (a *app) fsck(ctx context.Context, c *shmd.Client, names []string, repair bool) error {
	var failed []error
	bad, unjudged := false, false
	t := a.newTable()
	for _, name := range names {
		r, err := examineObject(ctx, c, name, repair)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if bad = bad || isBad(r, repair); r.Unjudged != "" {
			unjudged = true
		}
		if !a.json {
			t.showRepair(name, r, repair)
			continue
		}
		if err := a.emit(repairDocument(r, repair)); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	switch {
	case len(failed) > 0:
		return errors.Join(failed...)
	case bad:
		return &exitError{exitFailure, nil}
	case unjudged:
		return &exitError{exitTemporary, nil}
	}
	return nil
}

// examineObject checks an object, and repairs it if it shall be. One that is gone
// meanwhile is an error, as any other.
func examineObject(ctx context.Context, c *shmd.Client, name string, repair bool) (*wire.Repair, error) {
	ref, err := parseRef(name)
	if err != nil {
		return nil, err
	}
	r := new(wire.Repair)
	if repair {
		err = c.Call(ctx, wire.MethodRepair, r, ref)
	} else {
		err = c.Call(ctx, wire.MethodCheck, &r.Check, ref)
	}
	if err != nil {
		return nil, on(name, err)
	}
	return r, nil
}

// isBad reports whether something is wrong now.
func isBad(r *wire.Repair, repair bool) bool {
	if repair {
		return len(r.Left) > 0
	}
	return len(r.Findings) > 0
}

func repairDocument(r *wire.Repair, repair bool) document {
	if !repair {
		return documentOf(r.Check)
	}
	return documentOf(*r)
}

// showRepair shows what became of an object.
func (t *table) showRepair(name string, r *wire.Repair, repair bool) {
	show := func(state string, findings wire.List[wire.Finding], remedy bool) {
		for _, f := range findings {
			t.row(state, name, fmt.Sprintf("%s (byte %d): %s", f.Word, f.Offset, f.Says))
			if remedy {
				t.row("", "", "-> --repair makes it: "+f.Remedy)
			}
		}
	}
	switch {
	case repair && len(r.Findings) > 0:
		show("was bad", r.Findings, false)
		for _, cost := range r.Costs {
			t.row("repaired", name, cost)
		}
		if len(r.Left) == 0 {
			t.row("ok", name, "all words are in order now")
		}
		show(findingBad, r.Left, false)
	default:
		show(findingBad, r.Findings, true)
	}
	switch {
	case r.Unjudged != "":
		t.row(findingNote, name, "some words could not be judged: "+r.Unjudged)
	case len(r.Findings) == 0:
		t.row(findingOK, name, "all words are in order")
	}
}
