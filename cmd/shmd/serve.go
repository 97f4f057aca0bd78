package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// shutdownPatience is how long clients get to read their last answers.
const shutdownPatience = 5 * time.Second

const serveLong = `Run the daemon in the foreground until SIGTERM or SIGINT. It tells clients who wait that
it is going, and gives them 5 seconds to read that; a second signal ends it at once.
Objects that clients have mapped go on working among them.

What the daemon has outlives it: names, memory, and who holds what are with its keeper, a
process of its own, which it starts if there is none. A daemon that is killed, or ended by
SIGTERM, is followed by the next one that is started on the socket: that goes on where it
ended, and clients come back to it. SIGINT ends it for good: names are lost. A keeper that
is left with nothing to hold ends; shmd keeper --stop ends one that holds something.

The socket's mode and owner say who may connect at all; every object has its own on top
of that. Without flags the daemon serves one user: its socket is for its owner only.

Memory is promised before it is used: objects beyond --budget, or beyond their owner's
quota, are refused with a clear error. Sizes take K, M, G or T.

The log goes to stderr, without times if that is the journal; nothing goes to stdout.
For a supervisor or a test that must know when the socket is there, --ready-fd N writes
"ready" and a newline to descriptor N and closes it.

A supervisor that speaks systemd's protocols may listen on the socket itself, and is told
when the daemon is ready, that it lives, and that it ends: see docs/operations.md.

--without names features of newer kernels to do without, so that their fallbacks can be
tested: peerpidfd (Linux 6.5), futex_waitv (5.16), noexec_seal (6.3).`

const serveExit = `0   ended by a signal
1   failure; the message says which
2   wrong usage: an unknown flag, a malformed size
69  another daemon runs on this socket`

// serveFlags are the flags of serve.
type serveFlags struct {
	config             daemon.Config
	mode               modeFlag
	owner              string
	budget, quotaBytes sizeFlag
	logLevel           string
	logJSON            bool
	without            []string
	readyFD            int
	keeper             string
}

func (a *app) newServe() *cobra.Command {
	f := serveFlags{mode: 0o600}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long:  serveLong,
		Example: `shmd serve
shmd serve --socket-mode 0666 --budget 256M --quota-bytes 64M
shmd serve --log-level debug --log-json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{sectionExit: serveExit},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.complete(a)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, f.readyFD)
		},
	}
	flags := cmd.Flags()
	flags.Var(&f.mode, "socket-mode", "who may connect, octal as for files")
	flags.StringVar(&f.owner, "socket-owner", "", "`USER[:GROUP]` that owns the socket, by name or number")
	flags.Var(&f.budget, "budget", "memory of all objects\n(default half of what the machine or the cgroup has)")
	flags.Var(&f.quotaBytes, "quota-bytes", "memory of one user's objects (default the budget)")
	flags.Uint64Var(&f.config.QuotaObjects, "quota-objects", daemon.QuotaObjectsDefault,
		"`NUMBER` of objects of one user")
	flags.Uint64Var(&f.config.QuotaConnections, "quota-connections", daemon.QuotaConnectionsDefault,
		"`NUMBER` of connections of one user")
	flags.Uint32Var(&f.config.SeatsDefault, "seats-default", shm.SeatsDefault,
		"`NUMBER` of processes that may open an object at once,\nunless its creator says otherwise")
	flags.IntVar(&f.config.WaitingMax, "waiting-max", daemon.WaitingMaxDefault,
		"`NUMBER` of calls of all clients that may wait")
	flags.StringVar(&f.logLevel, "log-level", "info", "`LEVEL`: debug, info, warn or error")
	flags.BoolVar(&f.logJSON, "log-json", false, "log JSON")
	flags.StringSliceVar(&f.without, "without", nil,
		"kernel `FEATURES` to do without:\npeerpidfd,futex_waitv,noexec_seal")
	flags.StringVar(&f.keeper, "keeper", keeperStart, "`WHO` has the keeper: start (this daemon starts it),\n"+
		"external (a supervisor does), none (nothing outlives this daemon)")
	flags.IntVar(&f.readyFD, "ready-fd", -1, "descriptor `N` to write \"ready\" to; -1 is none")
	return cmd
}

// complete turns what was given into a configuration.
func (f *serveFlags) complete(a *app) (daemon.Config, error) {
	c := f.config
	var err error
	if c.Listener, err = supervisedListener(a.socket); err != nil {
		return c, err
	}
	if c.Listener != nil {
		a.socket = c.Listener.Addr().String()
	}
	c.Socket, c.SocketMode = a.socket, fs.FileMode(f.mode)
	c.BudgetBytes, c.QuotaBytes = uint64(f.budget), uint64(f.quotaBytes)
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return c, usage("%q is no log level: want debug, info, warn or error", f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	if onJournal(a.stderr) {
		options.ReplaceAttr = withoutTime
	}
	if f.logJSON || a.json {
		c.Logger = slog.New(slog.NewJSONHandler(a.stderr, options))
	} else {
		c.Logger = slog.New(slog.NewTextHandler(a.stderr, options))
	}
	for _, feature := range f.without {
		switch feature {
		case "peerpidfd":
			c.Without.PeerPIDFD = true
		case "futex_waitv":
			c.Without.FutexWaitv = true
		case "noexec_seal":
			c.Without.NoexecSeal = true
		default:
			return c, usage("--without %s: want peerpidfd, futex_waitv or noexec_seal", feature)
		}
	}
	switch f.keeper {
	case keeperStart:
		c.KeeperCommand = keeperCommand(a.serveSocket())
	case keeperExternal:
		c.KeeperStarted = true
	case keeperNone:
	default:
		return c, usage("--keeper %s: %w", f.keeper, errKeeper)
	}
	if f.owner != "" {
		c.SocketUID, c.SocketGID, err = parseOwner(f.owner)
	}
	return c, err
}

// withoutTime is for the journal, which has its own.
func withoutTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return attr
}

// parseOwner reads USER[:GROUP]; without a group it stays as it is.
func parseOwner(text string) (uid, gid *int, err error) {
	userName, groupName, hasGroup := strings.Cut(text, ":")
	uid, err = resolveID(userName, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil || !hasGroup {
		return uid, nil, err
	}
	gid, err = resolveID(groupName, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return uid, gid, err
}

// resolveID reads a number, or what lookup makes of a name.
func resolveID(text string, lookup func(name string) (string, error)) (*int, error) {
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		found, err := lookup(text)
		if err != nil {
			return nil, usage("--socket-owner: %w", err)
		}
		if number, err = strconv.ParseUint(found, 10, 31); err != nil {
			return nil, usage("--socket-owner %s: %w", text, err)
		}
	}
	return new(int(number)), nil
}

// serve runs a daemon until a signal, or the end of ctx, which is the same.
func serve(ctx context.Context, c daemon.Config, readyFD int) error {
	// Before the start, so that no signal finds us half way.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	defer signal.Stop(signals)
	readyTo, err := readyFile(readyFD)
	if err != nil {
		return err
	}
	server, err := daemon.Start(ctx, c)
	if err != nil {
		if errors.Is(err, daemon.ErrRunning) {
			return &exitError{exitUnavailable, err}
		}
		return err
	}
	if err := announce(readyTo); err != nil {
		// Whoever asked for it would wait for ever.
		return errors.Join(err, shutdown(server.Shutdown, signals, c.Logger))
	}
	tell(ready, c.Logger)
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	go keepAlive(alive, server.Socket(), c.Logger)
	end := server.Shutdown
	select {
	case s := <-signals:
		c.Logger.Info("stopping", "signal", s.String())
		if s == unix.SIGINT {
			end = server.End
		}
	case <-ctx.Done():
		c.Logger.Info("stopping")
	}
	cancel()
	tell(stopping, c.Logger)
	return shutdown(end, signals, c.Logger)
}

// shutdown ends a server by its end, Shutdown; a second signal cuts it short, and a third, if it
// should come to that, meets the default action.
func shutdown(end func(context.Context) error, signals chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- end(ctx) }()
	select {
	case err := <-done:
		return cutOff(err, log)
	case s := <-signals:
		log.Warn("stopping at once", "signal", s.String())
		signal.Stop(signals)
		cancel()
	}
	return cutOff(<-done, log)
}

// cutOff makes a note of clients that were not waited for; that is no failure.
func cutOff(err error, log *slog.Logger) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		log.Warn("clients were cut off", "reason", err)
		return nil
	}
	return err
}

// readyFile is the descriptor of --ready-fd; nil if there is none.
func readyFile(fd int) (*os.File, error) {
	if fd == -1 {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), "--ready-fd")
	if f == nil {
		return nil, usage("--ready-fd %d is no descriptor", fd)
	}
	if _, err := f.Stat(); err != nil {
		return nil, usage("--ready-fd %d: %w", fd, err)
	}
	return f, nil
}

// announce says that the socket is there.
func announce(ready *os.File) error {
	if ready == nil {
		return nil
	}
	_, err := ready.WriteString("ready\n")
	if err = errors.Join(err, ready.Close()); err != nil {
		return status.Wrap(status.System, "announce", err, "nobody reads --ready-fd")
	}
	return nil
}
