package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each adapter that is built moves messages whose every byte is checked, and does its other
// work once: one that loses something would be measured all the same.

// forAdapters runs test with each adapter that is there and has the workload, unless
// SHMD_RIVALS names others, as the flag -systems does.
func forAdapters(t *testing.T, workload string, test func(t *testing.T, b *bench, a *adapter)) {
	if os.Getenv("SHMD_BUILD") == "" || os.Getenv("SHMD_BIN") == "" {
		t.Skip("SHMD_BUILD and SHMD_BIN are not set: run it by make")
	}
	all, err := loadTable(rowsJSON)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("..", "..")) // where commands are relative to
	b := &bench{table: all, quick: true}
	b.lookAtSystems(os.Getenv("SHMD_RIVALS"))
	for i, s := range b.results.Systems {
		a := all.adapter(s.ID)
		if !slices.Contains(a.Workloads, workload) {
			continue
		}
		t.Run(strings.ReplaceAll(s.ID, "/", "-"), func(t *testing.T) {
			if s.Missing != "" {
				t.Skip(b.results.Systems[i].Missing)
			}
			test(t, b, a)
		})
	}
}

// openedSession starts the processes of an adapter, which end with the test, and then without an
// error.
func openedSession(t *testing.T, b *bench, a *adapter, r row, at setting, withSamples bool) *session {
	t.Helper()
	at.Placement = "free"
	s, err := b.openSession(context.Background(), a, &r, at, withSamples)
	var unsupported errUnsupported
	if errors.As(err, &unsupported) {
		t.Skipf("unsupported: %s", unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do lets all processes do their share of n operations for each of the first role, and
// returns what they say.
func do(t *testing.T, s *session, n int) []outcome {
	t.Helper()
	for i := len(s.processes) - 1; i >= 0; i-- {
		if err := s.processes[i].Send("go %d", s.share(s.processes[i], n)); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := make([]outcome, len(s.processes))
	for i, p := range s.processes {
		line, err := p.await(replyLimit)
		if err == nil {
			outcomes[i], err = parseDone(line)
		}
		if err != nil {
			t.Fatalf("%s %d: %v", p.role, p.index, err)
		}
		if o := outcomes[i]; o.tookNS <= 0 || o.endNS != 0 && o.endNS-o.beginNS != o.tookNS {
			t.Errorf("%s %d says %q", p.role, p.index, line)
		}
	}
	return outcomes
}

// moveVerified moves messages with every byte checked, twice, and compares what the processes
// of the first role saw with what those of the second did.
func moveVerified(t *testing.T, b *bench, a *adapter, workload string, at setting, n int) {
	t.Helper()
	s := openedSession(t, b, a, row{Workload: workload, Verify: true}, at, false)
	defer s.kill()
	for _, n := range []int{s.granularity(), roundTo(float64(n), s.granularity())} {
		var first, second uint64
		silent := 0
		for i, o := range do(t, s, n) {
			switch {
			case !o.hasSum:
				silent++
			case s.processes[i].role == s.processes[0].role:
				first += o.sum
			default:
				second += o.sum
			}
		}
		if silent == len(s.processes) {
			t.Log("it has no sums")
		} else if silent > 0 || first != second || first == 0 {
			t.Errorf("the sums of both sides are %d and %d, and %d processes have none", first, second, silent)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// messageSizes in bytes, and how many messages show what there is to see.
var messageSizes = []struct {
	bytes, count int
	isShort      bool
}{
	{8, 600, true}, {64, 600, false}, {1024, 600, false}, {4096, 600, true}, {64 << 10, 100, true},
	{1 << 20, 20, false}, {4 << 20, 10, false},
}

func TestRoundTripVerified(t *testing.T) {
	forAdapters(t, "roundtrip", func(t *testing.T, b *bench, a *adapter) {
		for _, wait := range waits {
			for _, size := range messageSizes {
				if testing.Short() && !size.isShort {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d", wait, size.bytes), func(t *testing.T) {
					moveVerified(t, b, a, "roundtrip", setting{SizeBytes: size.bytes, Wait: wait}, size.count/5)
				})
			}
		}
	})
}

func TestOneWayVerified(t *testing.T) {
	shapes := []setting{{Producers: 1, Consumers: 1}, {Producers: 4, Consumers: 4}, {Producers: 4, Consumers: 1},
		{Producers: 1, Consumers: 4}}
	forAdapters(t, "oneway", func(t *testing.T, b *bench, a *adapter) {
		for _, at := range shapes {
			for _, at.Batch = range []int{1, 32} {
				for _, size := range messageSizes {
					// All sizes one by one; for the others those that each system does in another way.
					isPlain := at.Producers == at.Consumers && at.Batch == 1
					if !size.isShort && (testing.Short() || !isPlain) {
						continue
					}
					at.SizeBytes, at.Wait = size.bytes, "block"
					name := fmt.Sprintf("%dx%d/batch %d/%d", at.Producers, at.Consumers, at.Batch, size.bytes)
					t.Run(name, func(t *testing.T) { moveVerified(t, b, a, "oneway", at, size.count) })
				}
			}
		}
	})
}

// Messages are written and read, or only their first bytes, as they are when they are measured:
// some adapters then copy short ones, and have long ones in place.
func TestTouch(t *testing.T) {
	forAdapters(t, "oneway", func(t *testing.T, b *bench, a *adapter) {
		for size, count := range map[int]int{4096: 2000, 64 << 10: 200} {
			for _, untouched := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d/untouched=%t", size, untouched), func(t *testing.T) {
					at := setting{SizeBytes: size, Producers: 1, Consumers: 1, Wait: "block", Untouched: untouched}
					s := openedSession(t, b, a, row{Workload: "oneway"}, at, false)
					defer s.kill()
					do(t, s, count)
					if err := s.close(); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
}

// Work without messages, with samples of the right number.
func TestOtherWork(t *testing.T) {
	for workload, processes := range map[string]int{"lock": 3, "semaphore": 3, "counter": 3, "value": 2, "attach": 2,
		"memory": 1} {
		t.Run(workload, func(t *testing.T) {
			forAdapters(t, workload, func(t *testing.T, b *bench, a *adapter) {
				const n = 50
				s := openedSession(t, b, a, row{Workload: workload}, setting{Processes: processes},
					workload != "memory")
				defer s.kill()
				if workload == "attach" {
					if _, err := s.round(n); err != nil { // the first process has made the object only
						t.Fatal(err)
					}
				} else {
					do(t, s, n)
				}
				if s.samples != "" {
					bytes, err := os.ReadFile(s.samples)
					if errors.Is(err, os.ErrNotExist) {
						t.Log("it takes no samples")
					} else if err != nil || len(bytes) != 8*n {
						t.Errorf("%d bytes of %d samples, %v", len(bytes), n, err)
					}
				}
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who sleeps until a message comes says so before.
func TestSleepersSayThatTheyWait(t *testing.T) {
	forAdapters(t, "idle", func(t *testing.T, b *bench, a *adapter) {
		s := openedSession(t, b, a, row{Workload: "idle"}, setting{}, false)
		defer s.kill()
		if err := s.processes[0].say("waiting"); err != nil {
			t.Error(err)
		}
	})
}

// One holds, one waits, and is still waiting when both are killed; whether a lock comes free
// by the death of its owner is measured, not tested.
func TestOwnersHold(t *testing.T) {
	forAdapters(t, "recovery", func(t *testing.T, b *bench, a *adapter) {
		s := openedSession(t, b, a, row{Workload: "recovery"}, setting{}, false)
		defer s.kill()
		if err := errors.Join(s.processes[0].say("held"), s.processes[1].say("waiting")); err != nil {
			t.Error(err)
		}
	})
}

// A transport that loses, doubles or damages is caught.
func TestSumsTellLoss(t *testing.T) {
	s := &session{row: &row{Workload: "oneway"}}
	put, take := &process{role: "put"}, &process{role: "take"}
	for _, c := range []struct {
		put, taken uint64
		isGood     bool
	}{{5, 5, true}, {5, 4, false}} {
		err := s.compareSums([]*process{put, take}, []outcome{{sum: c.put, hasSum: true}, {sum: c.taken, hasSum: true}})
		if (err == nil) != c.isGood {
			t.Errorf("%d put and %d taken: %v", c.put, c.taken, err)
		}
	}
}
