package wire

import (
	"os"
	"path/filepath"
)

// SocketPaths is where a daemon may listen that nobody has said more about, the
// best first: $SHMD_SOCKET alone if it is set, else
// $XDG_RUNTIME_DIR/shmd/shmd.sock if that is set, and /run/shmd/shmd.sock. A
// daemon takes the first, a client the first that exists.
func SocketPaths() []string {
	if path := os.Getenv("SHMD_SOCKET"); path != "" {
		return []string{path}
	}
	paths := []string{"/run/shmd/shmd.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append([]string{filepath.Join(dir, "shmd", "shmd.sock")}, paths...)
	}
	return paths
}
