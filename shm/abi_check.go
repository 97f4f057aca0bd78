package shm

import "github.com/shmd/shmd/status"

// CheckLayout refuses segments that this build cannot use, with status.Version: those of a
// daemon that says of itself what its layout's version is, the oldest version whose
// programs can use it, and its fingerprint. A later layout is fine if programs of this one
// can use it. Within a version the fingerprints are equal, or somebody has changed a layout
// and not its version. The segment's header says the same, but whoever may write the
// segment may forge that.
func CheckLayout(version, compat uint32, fingerprint uint64) error {
	switch {
	case version == ABIVersion && fingerprint != ABIFingerprint:
		return status.New(status.Version, "map", "the daemon has another layout %d (%#x) than this client (%#x): "+
			"use equal builds", version, fingerprint, ABIFingerprint)
	case compat > ABIVersion:
		return status.New(status.Version, "map", "the daemon has layout %d, for clients of layout %d and later; "+
			"this client has %d: update it", version, compat, ABIVersion)
	case version < ABIVersion:
		return status.New(status.Version, "map", "the daemon has layout %d, older than %d, which this client has: "+
			"update the daemon", version, ABIVersion)
	}
	return nil
}
