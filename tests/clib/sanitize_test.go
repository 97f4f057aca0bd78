package clib

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// sanitizers are the compiler's flags for each. A fence, of which the thread sanitizer
// knows nothing, stands in snapshots alone, whose data is copied by atomics.
var sanitizers = map[string][]string{
	"address": {"-fsanitize=address,undefined", "-fno-sanitize-recover=all"},
	"thread":  {"-fsanitize=thread", "-Wno-tsan"},
}

// sanitizerOptions is for what is run. A probe that has threads forks, and its child
// makes threads of its own.
const sanitizerOptions = "TSAN_OPTIONS=die_after_fork=0 halt_on_error=1"

// sanitized is the compiler's flags for the sanitizer that SHMD_SANITIZE names, the one
// for addresses and undefined behaviour by default; none where it is not installed, or
// would run emulated.
func sanitized(t *testing.T) []string {
	t.Helper()
	name := os.Getenv("SHMD_SANITIZE")
	if name == "" {
		name = "address"
	}
	return sanitizer(t, name)
}

func sanitizer(t *testing.T, name string) []string {
	t.Helper()
	flags := sanitizers[name]
	if flags == nil {
		t.Fatalf("no sanitizer %q", name)
	}
	if emulator := harness.Emulator(); emulator != "" {
		t.Logf("without sanitizers, under %s", emulator)
		return nil
	}
	source := filepath.Join(t.TempDir(), "empty.c")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"-o", source + ".out", source}, flags...)
	if text, err := compiler(t, arguments...).CombinedOutput(); err != nil {
		if os.Getenv("SHMD_SANITIZE") != "" {
			t.Fatalf("no sanitizer: %s", text)
		}
		t.Logf("without sanitizers: %s", text)
		return nil
	}
	return flags
}

// mistakes are programs that each sanitizer must find fault with.
var mistakes = map[string]string{
	"address": `#include <stdlib.h>
int main(int count, char **arguments) { char *bytes = malloc(4); bytes[4 * count] = *arguments[0]; return bytes[8]; }`,
	"thread": `#include <pthread.h>
#include <stddef.h>
static long item;
static int ready;
static void *hand_over(void *p) { item = 1; __atomic_store_n(&ready, 1, __ATOMIC_RELAXED); return p; }
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, hand_over, NULL);
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) == 0) /* pairs with no release */
		;
	long taken = item;
	pthread_join(thread, NULL);
	return taken != 1;
}`,
}

// Threads use all kinds of objects at once, to guard plain data: each sanitizer finds
// nothing there, and something in a program with a mistake.
func TestThreads(t *testing.T) {
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			flags := sanitizer(t, name)
			if flags == nil {
				t.Skip("no such sanitizer here")
			}
			source := filepath.Join(t.TempDir(), "mistake.c")
			must(0, os.WriteFile(source, []byte(mistake), 0o600))
			run(t, compiler(t, append([]string{"-O1", "-g", "-pthread", "-o", source + ".out", source}, flags...)...))
			if text, err := exec.Command(source + ".out").CombinedOutput(); err == nil || len(text) == 0 {
				t.Errorf("the sanitizer finds no fault: %v\n%s", err, text)
			}
			behave(t, program(t, "threads", flags...))
		})
	}
}
