package measure

import (
	"errors"
	"os/exec"
)

// ErrNoRedis says that there is none to run.
var ErrNoRedis = errors.New("there is no redis-server: scripts/setup.sh redis says why it could not be had")

// LookRedis is the path of the server. Debian has the program in redis-tools as
// redis-check-rdb, and the link redis-server to it in a package that runs a system service,
// which nobody wants here. The name that it is called by says what it is.
func LookRedis() (string, error) {
	for _, name := range []string{"redis-server", "redis-check-rdb"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoRedis
}
