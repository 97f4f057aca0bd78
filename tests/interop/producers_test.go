package interop

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// Producers and consumers of all languages at one small queue: each message
// arrives once, and those of one producer in their order.
func TestProducersOfAllLanguages(t *testing.T) {
	const each = 150
	d := harness.StartDaemon(t)
	var producers, consumers []*driver
	for i, l := range languages {
		p, c := start(t, l, d.Socket), start(t, l, d.Socket)
		if i == 0 {
			p.ok(t, "create", "q", "queue", "q", "-", "-", "3", "64", "0")
		} else {
			p.want(t, "ok - 0", "open", "q", "queue", "q", "rw")
		}
		c.want(t, "ok - 0", "open", "q", "queue", "q", "rw")
		producers, consumers = append(producers, p), append(consumers, c)
	}
	for number := range each {
		for i, p := range producers {
			p.Send(fmt.Sprintf("put q 92%02xcd%04x %s", i, number, forever))
			consumers[i].Send("take q " + forever)
		}
	}
	seen := map[string]int{}
	for _, c := range consumers {
		next := make([]int, len(languages))
		for range each {
			message, err := hex.DecodeString(strings.TrimPrefix(c.Line(), "ok "))
			if err != nil || len(message) != 5 {
				t.Fatalf("%s takes % x, %v", c.name, message, err)
			}
			producer, number := message[1], int(message[3])<<8|int(message[4])
			if number < next[producer] {
				t.Errorf("%s takes %d of %s after %d", c.name, number, languages[producer].name, next[producer]-1)
			}
			next[producer] = number + 1
			seen[string(message)]++
		}
	}
	for _, p := range producers {
		for range each {
			p.result(t, "ok")
		}
		p.want(t, "ok 0 0 0 3 0 false", "counts", "q")
	}
	for message, times := range seen {
		if times != 1 {
			t.Errorf("% x was taken %d times", message, times)
		}
	}
	if len(seen) != each*len(languages) {
		t.Errorf("%d messages arrived, not %d", len(seen), each*len(languages))
	}
}
