package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	notify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// What a supervisor that speaks systemd's protocols wants to know, and gives. All of it
// does nothing without one.

// supervisedListener is the socket that the supervisor has made, nil if there is none.
// socket is the path that was asked for, "" = any.
func supervisedListener(socket string) (*net.UnixListener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, status.Wrap(status.System, "start the daemon", err, "take the supervisor's sockets")
	}
	if len(listeners) == 0 {
		return nil, nil
	}
	l, ok := listeners[0].(*net.UnixListener)
	switch {
	case len(listeners) > 1:
		err = fmt.Errorf("the supervisor gave %d sockets; it must be one: see shmd.socket", len(listeners))
	case !ok || l.Addr().Network() != "unix":
		err = fmt.Errorf("the supervisor's socket %v is no stream socket in the file system: see shmd.socket",
			listeners[0].Addr())
	case socket != "" && l.Addr().String() != socket:
		err = fmt.Errorf("the supervisor listens on %s, and --socket says %s", l.Addr(), socket)
	default:
		return l, nil
	}
	for _, one := range listeners {
		if one != nil {
			_ = one.Close()
		}
	}
	return nil, status.Wrap(status.Invalid, "start the daemon", err, "socket activation")
}

// What there is to tell.
const (
	ready    = notify.SdNotifyReady
	stopping = notify.SdNotifyStopping
)

// reloading is what a supervisor is told before the configuration is read again, which
// ends with ready.
func reloading() string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // never fails for this clock
	return notify.SdNotifyReloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}

// tell sends the supervisor a message; that nobody listens is no error.
func tell(state string, log *slog.Logger) {
	if _, err := notify.SdNotify(false, state); err != nil {
		log.Warn("the supervisor was not told", "state", state, "error", err)
	}
}

// keepAlive tells the supervisor's watchdog, twice within its time, that a client is
// served, until ctx ends. A daemon that serves nobody is then ended, and started again.
func keepAlive(ctx context.Context, socket string, log *slog.Logger) {
	limit, err := notify.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog's time cannot be read", "error", err)
	}
	if limit == 0 {
		return
	}
	ticker := time.NewTicker(limit / 2)
	defer ticker.Stop()
	for {
		if err := isServed(ctx, socket, limit/2); err == nil {
			tell(notify.SdNotifyWatchdog, log)
		} else if ctx.Err() == nil {
			log.Error("the daemon does not serve itself", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// isServed is what any client would do first.
func isServed(ctx context.Context, socket string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := shmd.Dial(ctx, shmd.Options{Socket: socket, Software: "shmd watchdog", ReattachTimeout: -1})
	if err != nil {
		return err
	}
	err = client.Call(ctx, wire.MethodPing, nil)
	if closed := client.Close(); err == nil {
		err = closed
	}
	return err
}
