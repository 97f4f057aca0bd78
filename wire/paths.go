package wire

import (
	"os"
	"path/filepath"
)

// SocketSystem is where the daemon for all users listens.
const SocketSystem = "/run/shmd/shmd.sock"

// SocketUser is where a user's own daemon listens, in his $XDG_RUNTIME_DIR.
func SocketUser(runtimeDir string) string { return filepath.Join(runtimeDir, "shmd", "shmd.sock") }

// SocketPaths is where a daemon may listen that nobody has said more about, the
// best first: $SHMD_SOCKET alone if it is set, else
// $XDG_RUNTIME_DIR/shmd/shmd.sock if that is set, and /run/shmd/shmd.sock. A
// daemon takes the first, a client the first that exists.
func SocketPaths() []string {
	if path := os.Getenv("SHMD_SOCKET"); path != "" {
		return []string{path}
	}
	paths := []string{SocketSystem}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append([]string{SocketUser(dir)}, paths...)
	}
	return paths
}
