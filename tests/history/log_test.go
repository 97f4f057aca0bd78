package history

import (
	"path/filepath"
	"testing"
)

// Of an operation that has begun and not returned, what is known before is read, and nothing
// that may come of it.
func TestReadOfWhatHasBegun(t *testing.T) {
	l, err := CreateLog(filepath.Join(t.TempDir(), "log"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for op, known := range map[Op]uint32{OpExtend: 3, OpAck: 3, OpNackMany: 3, OpLease: 0, OpCompareExchange: 0} {
		l.Write(0, []Entry{{Op: op, Call: 1, Result: 7, Extra: 3}})
		if e := l.Read(0); !e.Unknown() || e.Result != 7 || e.Extra != known {
			t.Errorf("%v: %+v", op, e)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
