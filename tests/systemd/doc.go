// Package systemd holds the units of packaging/ to what systemd says of them, and the
// daemon to systemd's protocols: socket activation, readiness, watchdog. No init runs
// here: that the units work together is not tested, only each part.
package systemd
