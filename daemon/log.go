package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Of each message the log has logBurst at once, then one each logInterval.
const (
	logBurst    = 10
	logInterval = time.Second
)

// limitedLog hands records on, but of one message no more than a client may cause without
// filling the disk. A record says how many of its message were left out before it.
// Messages for debugging are not bounded: whoever asks for them wants all.
type limitedLog struct {
	slog.Handler
	limits *logLimits
}

// logLimits counts messages, of which there are as many as the code has.
type logLimits struct {
	mu       sync.Mutex
	messages map[string]*logLimit // protected by mu
}

// logLimit is what one message may still have.
type logLimit struct {
	left    int       // records at once
	since   time.Time // left is of this time
	leftOut int
}

func limitLog(h slog.Handler) slog.Handler {
	return &limitedLog{h, &logLimits{messages: make(map[string]*logLimit)}}
}

// Handle implements slog.Handler.
func (l *limitedLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		leftOut, ok := l.limits.take(r.Message, r.Time)
		if !ok {
			return nil
		}
		if leftOut > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("left_out", leftOut))
		}
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *limitedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitedLog{l.Handler.WithAttrs(attrs), l.limits}
}

// WithGroup implements slog.Handler.
func (l *limitedLog) WithGroup(name string) slog.Handler {
	return &limitedLog{l.Handler.WithGroup(name), l.limits}
}

// take reports whether a message may be logged now, and how many were left out before it.
func (l *logLimits) take(message string, now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[message]
	if m == nil {
		m = &logLimit{left: logBurst, since: now}
		l.messages[message] = m
	}
	if passed := now.Sub(m.since) / logInterval; passed > 0 {
		m.left = min(logBurst, m.left+int(min(passed, logBurst)))
		m.since = m.since.Add(passed * logInterval)
	}
	if m.left == 0 {
		m.leftOut++
		return 0, false
	}
	m.left--
	leftOut, m.leftOut = m.leftOut, 0
	return leftOut, true
}
