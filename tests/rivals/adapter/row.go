package adapter

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Row is what the runner asks of this process.
type Row struct {
	Workload, Role string

	Name    string // prefix of all names outside Dir
	Dir     string // private directory
	Socket  string // of the system's server
	Mode    string // what only this system knows; "" = its default
	Samples string // file for latencies, "" for none

	SizeBytes int    // of a message, a multiple of 8
	Batch     uint64 // messages in a call
	Index     int    // of this process within its role
	Producers int
	Consumers int
	Processes int

	Verify bool // every byte is made and compared
	Touch  bool // every byte is written and read, else the first 8
	Spins  bool // waits by trying again, else asleep
	Makes  bool // this process makes the objects: it is index 0 of the first role

	// Pids are the processes of a server, which Open sets; the runner watches them.
	Pids []int
	// Done counts the operations of former `go`s.
	Done uint64

	sum      uint64 // of what was put or taken in this `go`: both sides' must agree
	sampler  sampler
	isEnding atomic.Bool // the input has ended: errors of who still waits mean nothing
	endedNS  int64       // when the last operation of this `go` ended, 0: when Run returned
}

// Ended says when the last operation of this `go` ended, if Run returns later.
func (r *Row) Ended(nowNS int64) { r.endedNS = nowNS }

// secondRoles open what index 0 of another role has made.
var secondRoles = []string{"pong", "take", "waiter"}

func parse(args []string) (*Row, error) {
	r := &Row{Workload: args[0], Role: args[1]}
	values := map[string]string{"name": "rival", "dir": ".", "wait": "block", "size": "8", "batch": "1", "index": "0",
		"producers": "1", "consumers": "1", "processes": "1", "verify": "0", "touch": "1"}
	for _, arg := range args[2:] {
		key, value, found := strings.Cut(arg, "=")
		if !found {
			return nil, fmt.Errorf("%q is not KEY=VALUE", arg)
		}
		values[key] = value
	}
	r.Name, r.Dir, r.Socket = values["name"], values["dir"], values["socket"]
	r.Mode, r.Samples, r.Spins = values["mode"], values["samples"], values["wait"] == "spin"
	var failed error
	number := func(key string) int {
		n, err := strconv.ParseUint(values[key], 10, 62)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s=%s is no number", key, values[key])
		}
		return int(n)
	}
	r.SizeBytes, r.Batch, r.Index = number("size"), uint64(number("batch")), number("index")
	r.Producers, r.Consumers, r.Processes = number("producers"), number("consumers"), number("processes")
	r.Verify, r.Touch = number("verify") != 0, number("touch") != 0
	r.Makes = r.Index == 0 && !slices.Contains(secondRoles, r.Role)
	switch {
	case failed != nil:
		return nil, failed
	case r.SizeBytes == 0 || r.SizeBytes%wordBytes != 0:
		return nil, fmt.Errorf("size=%d is no multiple of %d", r.SizeBytes, wordBytes)
	case r.Batch == 0 || r.Producers == 0 || r.Consumers == 0 || r.Index >= math.MaxInt16:
		return nil, fmt.Errorf("batch, producers and consumers are 1 or more, and index is below %d", math.MaxInt16)
	}
	return r, nil
}

// QueueMax is how many messages a bounded queue shall hold.
func (r *Row) QueueMax() int {
	switch {
	case r.SizeBytes <= 4096:
		return 1024
	case r.SizeBytes <= 65536:
		return 64
	}
	return 8
}
