package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Of each message there is a burst, then one a second that says how many were left out;
// other messages, and those for debugging, are not touched by it.
func TestLogIsLimited(t *testing.T) {
	var out bytes.Buffer
	h := limitLog(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})).WithAttrs(nil).WithGroup("g")
	now := time.Now()
	log := func(level slog.Level, message string, times int) (lines int) {
		t.Helper()
		out.Reset()
		for range times {
			if err := h.Handle(context.Background(), slog.NewRecord(now, level, message, 0)); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Count(out.String(), "\n")
	}
	if got := log(slog.LevelWarn, "flood", 1000); got != logBurst {
		t.Errorf("a burst of 1000 has %d lines, want %d", got, logBurst)
	}
	if got := log(slog.LevelInfo, "other", 1); got != 1 {
		t.Errorf("another message has %d lines, want 1", got)
	}
	if got := log(slog.LevelDebug, "detail", 1000); got != 1000 {
		t.Errorf("1000 messages for debugging have %d lines", got)
	}
	for second := range 3 {
		now = now.Add(logInterval)
		if got := log(slog.LevelWarn, "flood", 100); got != 1 {
			t.Errorf("second %d has %d lines, want 1", second+1, got)
		}
		want := []string{"left_out=990", "left_out=99", "left_out=99"}[second]
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	now = now.Add(time.Hour)
	if got := log(slog.LevelWarn, "flood", 1000); got != logBurst {
		t.Errorf("after an hour a burst has %d lines, want %d", got, logBurst)
	}
	now = now.Add(-2 * time.Hour) // the clock was set back
	if got := log(slog.LevelWarn, "flood", 1); got != 0 {
		t.Errorf("a clock that was set back gives %d lines more", got)
	}
}

// lines counts what is written.
type lines struct {
	mu sync.Mutex
	n  int // protected by mu
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return len(b), nil
}

// Whoever is refused a thousand times does not make a thousand lines.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	const refusals = 1000
	var log lines
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s"), QuotaConnections: 1,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	greeted(t, s, 1)
	began := time.Now()
	for range refusals {
		c, err := net.Dial("unix", s.Socket())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("a refusal says nothing: %v", err)
		}
		c.Close()
	}
	most := 2*logBurst + int(time.Since(began)/logInterval) // others say a little, too
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.n > most {
		t.Errorf("%d refusals made %d lines of log, want at most %d", refusals, log.n, most)
	}
}
