package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/daemon"
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

What flags do not say is taken from the configuration file, and what neither says is the
default; the environment says nothing but where the socket is. The file is that of --config;
without that flag it is /etc/shmd/shmd.toml for the socket /run/shmd/shmd.sock, and
$XDG_CONFIG_HOME/shmd/shmd.toml (~/.config) for $XDG_RUNTIME_DIR/shmd/shmd.sock, if it is
there, and none for another socket. SIGHUP reads it again; a file that is wrong changes
nothing, and the log says what is wrong with it.

Memory is promised before it is used: objects beyond --budget, or beyond their owner's
quota, are refused with a clear error. Sizes take K, M, G or T. Of what all users have
together, a user whom the daemon does not run as, and who is not root, may have a share only,
which is smaller the more there are: shmd quota shows it, and --quota-user gives a user a
limit of his own in its place.

The log goes to stderr, without times if that is the journal; nothing goes to stdout.
For a supervisor or a test that must know when the socket is there, --ready-fd N writes
"ready" and a newline to descriptor N and closes it.

--lifeline-fd N makes it the daemon of one process tree, which holds the writing end of a
pipe whose reading end is descriptor N: once all who hold it have ended, and no client is
connected, it ends for good, and removes the directory of the socket if it is empty.

A supervisor that speaks systemd's protocols may listen on the socket itself, and is told
when the daemon is ready, that it lives, and that it ends: see docs/operations.md.

--without names features of newer kernels to do without, so that their fallbacks can be
tested: peerpidfd (Linux 6.5), futex_waitv (5.16), noexec_seal (6.3).`

const serveExit = `0   ended by a signal
1   failure; the message says which
2   wrong usage: an unknown flag, a malformed size
69  another daemon runs on this socket
78  the configuration file is wrong; the message says where`

const serveFile = `[socket]
mode = "0660"             # --socket-mode
owner = "shmd:users"      # --socket-owner
[limits]
memory = "8G"             # --memory
budget = "4G"             # --budget
seats_default = 64        # --seats-default
waiting_max = 16384       # --waiting-max
[quota]                   # of each user
bytes = "1G"              # --quota-bytes
objects = 1000            # --quota-objects
connections = 100         # --quota-connections
handles = 10000           # --quota-handles
seats = 10000             # --quota-seats
tokens = 1000             # --quota-tokens
waiting = 1000            # --quota-waiting
buffer_bytes = "16M"      # --quota-buffer-bytes
tickets = 100             # --quota-tickets
[quota.user.ann]          # of a user, by name or number: --quota-user ann:bytes=2G,objects=5000
bytes = "2G"
objects = 5000
[names]                   # who may create objects under which names
own = "uid"               # uid/1000/... is for user 1000 alone
create.jobs = ["ann", 1001, "@workers"]   # jobs and jobs/...: users, and a group
create."jobs/public" = ["*"]              # the longest prefix decides: everybody
create."" = []                            # all other names: root alone
[log]
level = "info"            # --log-level
json = false              # --log-json; the one that only a restart changes`

func (a *app) newServe() *cobra.Command {
	f := serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long:  serveLong,
		Example: `shmd serve
shmd serve --socket-mode 0666 --budget 256M --quota-bytes 64M
shmd serve --log-level debug --log-json
shmd serve --check-config`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		Annotations:       map[string]string{sectionExit: serveExit, sectionFile: serveFile},
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := supervisedListener(a.socket)
			if err != nil {
				return err
			}
			socket := a.serveSocket()
			if listener != nil {
				socket = listener.Addr().String()
			}
			c, err := configure(a, cmd.Flags(), socket)
			if err != nil {
				return err
			}
			if f.check {
				return c.show()
			}
			c.config.Listener = listener
			return serve(cmd.Context(), c, f.readyFD, f.lifelineFD)
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// serve runs a daemon until a signal, or the end of ctx, which is the same.
func serve(ctx context.Context, configured *configuration, readyFD, lifelineFD int) error {
	// Before the start, so that no signal finds us half way.
	signals, reloads := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Notify(reloads, unix.SIGHUP)
	defer signal.Stop(signals)
	defer signal.Stop(reloads)
	c := configured.config
	readyTo, err := givenFile("--ready-fd", readyFD)
	if err != nil {
		return err
	}
	line := lifeline{}
	if line.file, err = givenFile("--lifeline-fd", lifelineFD); err != nil {
		return err
	}
	limitHeap(c.MemoryBytes)
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
	end, over := server.Shutdown, line.ended(server)
	for running := true; running; {
		select {
		case s := <-signals:
			running = false
			c.Logger.Info("stopping", "signal", s.String())
			if s == unix.SIGINT {
				end = server.End
			}
		case <-reloads:
			configured.reload(server)
		case <-over:
			running = false
			c.Logger.Info("stopping", "reason", "the process tree is gone")
			end = server.End
		case <-ctx.Done():
			running = false
			c.Logger.Info("stopping")
		}
	}
	cancel()
	tell(stopping, c.Logger)
	err = shutdown(end, signals, c.Logger)
	line.tidy(server.Socket())
	return err
}

// limitHeap makes the runtime collect garbage rather than let it grow beyond what the
// segments leave of the memory that there is; GOMEMLIMIT says otherwise.
func limitHeap(memory uint64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if total, err := daemon.MemoryLimit(); err == nil && (memory == 0 || memory > total) {
		memory = total
	}
	if memory > 0 {
		debug.SetMemoryLimit(int64(memory / 16 * 7))
	}
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

// givenFile is a descriptor that a flag names; nil if that is -1.
func givenFile(flag string, fd int) (*os.File, error) {
	if fd == -1 {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), flag)
	if f == nil {
		return nil, usage("%s %d is no descriptor", flag, fd)
	}
	if _, err := f.Stat(); err != nil {
		return nil, usage("%s %d: %w", flag, fd, err)
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
