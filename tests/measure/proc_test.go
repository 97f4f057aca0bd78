package measure

import (
	"os"
	"slices"
	"testing"
)

// A process that works is seen to work: zeros of an idle daemon mean something.
func TestActivityIsSeen(t *testing.T) {
	before, err := ActivityOf(os.Getpid())
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
	for after := before; after.Ticks == before.Ticks || after.Switches == before.Switches; {
		go func() { _, _ = w.Write([]byte("x")) }() // a failure shows in Read
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if after, err = ActivityOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemoryIsSeen(t *testing.T) {
	before, err := MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	touched := make([]byte, 64<<20)
	for i := range touched {
		touched[i] = 1
	}
	after, err := MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.Anonymous - before.Anonymous; grown < 60<<10 || after.Resident < after.Anonymous {
		t.Errorf("%d touched bytes: anonymous grew by %v KiB; %+v", len(touched), grown, after)
	}
}

func TestField(t *testing.T) {
	const text = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n"
	if got := Field(text, "voluntary_ctxt_switches"); got != "7" {
		t.Errorf("%q", got)
	}
	if got := Field(text, "absent"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestFamily(t *testing.T) {
	// A job in the background reads nothing of what the shell reads, unless it is told to.
	c, err := Start(t.Context(), "/bin/sh", "-c", "exec 3<&0; sh -c 'echo x; read y' <&3 & wait")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	if err := c.Expect("x"); err != nil {
		t.Fatal(err)
	}
	family, err := Family(os.Getpid())
	if err != nil || len(family) < 3 || !slices.Contains(family, c.Cmd.Process.Pid) {
		t.Errorf("%v, %v", family, err)
	}
}
