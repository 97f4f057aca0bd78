package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// sizeFlag is a number of bytes with an optional suffix.
type sizeFlag uint64

var sizeUnits = map[string]uint64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

// Set implements pflag.Value.
func (s *sizeFlag) Set(text string) error {
	digits := strings.TrimRight(strings.ToUpper(text), "KMGT")
	unit, known := sizeUnits[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !known || n > math.MaxUint64/unit {
		return fmt.Errorf("%q is no size: want a number of bytes, or one with K, M, G or T such as 512M", text)
	}
	*s = sizeFlag(n * unit)
	return nil
}

// String implements pflag.Value.
func (s *sizeFlag) String() string { return strconv.FormatUint(uint64(*s), 10) }

// Type implements pflag.Value; it names the argument in help.
func (*sizeFlag) Type() string { return "SIZE" }

// modeFlag is permission bits in octal.
type modeFlag fs.FileMode

// Set implements pflag.Value.
func (m *modeFlag) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is no mode: want octal permission bits such as 0660", text)
	}
	*m = modeFlag(n)
	return nil
}

// String implements pflag.Value.
func (m *modeFlag) String() string { return modeText(uint32(*m)) }

// Type implements pflag.Value.
func (*modeFlag) Type() string { return "MODE" }

// durationFlag is a duration as Go writes it, or in seconds.
type durationFlag time.Duration

// Set implements pflag.Value.
func (d *durationFlag) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		parsed, err = time.ParseDuration(text + "s")
	}
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is no duration: want 500ms, 5s, 2m, or a number of seconds", text)
	}
	*d = durationFlag(parsed)
	return nil
}

// String implements pflag.Value.
func (d *durationFlag) String() string { return time.Duration(*d).String() }

// Type implements pflag.Value.
func (*durationFlag) Type() string { return "DURATION" }

// waitFlags say how long a command waits.
type waitFlags struct {
	timeout  durationFlag
	nonblock bool
}

// register adds the flags; short is the letter of --nonblock, "" for none.
func (w *waitFlags) register(cmd *cobra.Command, short string) {
	flags := cmd.Flags()
	flags.VarP(&w.timeout, "timeout", "w", "wait at most so long: 500ms, 5s, 2m, or seconds")
	flags.Lookup("timeout").DefValue = ""
	flags.BoolVarP(&w.nonblock, "nonblock", short, false, "do not wait at all")
	cmd.MarkFlagsMutuallyExclusive("timeout", "nonblock")
}

// nanoseconds is what the wire calls timeout_ns.
func (w *waitFlags) nanoseconds(cmd *cobra.Command) int64 {
	switch {
	case w.nonblock:
		return 0
	case cmd.Flags().Changed("timeout"):
		return time.Duration(w.timeout).Nanoseconds()
	}
	return -1
}

// countFlag is a number from 1 to a maximum; 0 is that there is none.
type countFlag[T int | uint32 | uint64] struct {
	to  *T
	max uint64
}

// Set implements pflag.Value.
func (c *countFlag[T]) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 || n > c.max {
		return fmt.Errorf("%q is not within 1 to %d", text, c.max)
	}
	*c.to = T(n)
	return nil
}

// String implements pflag.Value.
func (c *countFlag[T]) String() string {
	if c.to == nil || *c.to == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*c.to), 10)
}

// Type implements pflag.Value.
func (*countFlag[T]) Type() string { return "NUMBER" }

// levelFlag is how important a line of the log must be.
type levelFlag slog.Level

// logLevels are all there are, by name.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"error": slog.LevelError}

// Set implements pflag.Value.
func (l *levelFlag) Set(text string) error {
	level, ok := logLevels[strings.ToLower(text)]
	if !ok {
		return fmt.Errorf("%q is no log level: want debug, info, warn or error", text)
	}
	*l = levelFlag(level)
	return nil
}

// String implements pflag.Value.
func (l *levelFlag) String() string { return strings.ToLower(slog.Level(*l).String()) }

// Type implements pflag.Value.
func (*levelFlag) Type() string { return "LEVEL" }
