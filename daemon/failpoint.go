//go:build !shmd_crash

package daemon

// point is where a test may end the daemon: see failpoint_crash.go.
func (s *Server) point(string) {}

// journalSizeMin is the journal's default.
const journalSizeMin = 0
