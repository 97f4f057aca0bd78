package main

import (
	"os"
	"testing"
)

// A process that works is seen to work: zeros of an idle daemon mean something.
func TestActivityIsSeen(t *testing.T) {
	before, err := activityOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	// Blocks a thread, again and again, and uses the processor between.
	for after := before; after.ticks == before.ticks || after.switches == before.switches; {
		go func() { _, _ = w.Write([]byte("x")) }() // a failure shows in Read
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if after, err = activityOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemoryIsSeen(t *testing.T) {
	before, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	touched := make([]byte, 64<<20)
	for i := range touched {
		touched[i] = 1
	}
	after, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.anonymous - before.anonymous; grown < 60<<10 || after.resident < after.anonymous {
		t.Errorf("%d touched bytes: anonymous grew by %v KiB; %+v", len(touched), grown, after)
	}
}

func TestField(t *testing.T) {
	const text = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n"
	if got := field(text, "voluntary_ctxt_switches"); got != "7" {
		t.Errorf("%q", got)
	}
	if got := field(text, "absent"); got != "" {
		t.Errorf("%q", got)
	}
}
