package shm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

func TestQueueGeometry(t *testing.T) {
	for _, c := range []struct {
		name                                string
		maxsize                             uint64
		slotSize, messageMax, deliveriesMax uint32
		flags                               Flags
		want                                string // in the error
	}{
		{"the smallest", 1, 8, 1, 0, 0, ""},
		{"the largest", QueueLengthMax, SlotSizeMax, SlotSizeMax, DeliveriesLimit, FlagRaw, ""},
		{"no messages", 0, 8, 8, 0, 0, "1 to 65536"},
		{"too many messages", QueueLengthMax + 1, 8, 8, 0, 0, "1 to 65536"},
		{"small slots", 1, 7, 7, 0, 0, "8 to 1048576"},
		{"large slots", 1, SlotSizeMax + 1, 8, 0, 0, "8 to 1048576"},
		{"no bytes", 1, 8, 0, 0, 0, "message_max is 0"},
		{"too many deliveries", 1, 8, 8, DeliveriesLimit + 1, 0, "1 to 254"},
		{"flags of a mutex", 1, 8, 8, 0, FlagStrict, "queue"},
	} {
		g, err := NewQueueGeometry(c.maxsize, c.slotSize, c.messageMax, c.deliveriesMax, c.flags, SeatsDefault)
		if c.want != "" {
			if !errors.Is(err, status.Invalid) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := g.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		// Beside the slots: at most 64 bytes for each, and the front.
		if rest := g.SegmentSize - roundUp(g.DataSize, PageSize); rest > roundUp(c.maxsize*64, PageSize)+2*PageSize {
			t.Errorf("%s: %d bytes beside the slots", c.name, rest)
		}
		moved := g
		moved.DescOffset += dataAlign
		if err := moved.Validate(); !errors.Is(err, status.Version) {
			t.Errorf("%s, descriptors elsewhere: %v", c.name, err)
		}
	}
	g, err := NewQueueGeometry(5, 9, 9, 0, 0, 1)
	aligned := g.DataOffset%PageSize == 0 && g.DescOffset%dataAlign == 0
	if err != nil || g.SlotSize != 16 || g.MessageMax != 9 || !aligned {
		t.Errorf("%+v, %v", g, err)
	}
}
