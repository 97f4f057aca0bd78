// Package adapter is what the adapters of shmd-rivals in Go share, as adapters/rival.h is for
// those in C: arguments, `ready`, `go N`, `done`, samples, and messages whose bytes are
// checked. Words and numbers of messages are the same as there. An adapter has a table,
//
//	adapter.Main(describe, []adapter.Work{
//		{Workload: "lock", Role: "worker", Open: openLock},
//	})
//
// Nothing here may be used by several goroutines at once.
package adapter
