package daemon

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// What keeps an object beside its users.
const (
	lifetimePersistent = wire.LifetimePersistent // until it is unlinked
	lifetimeRefcounted = wire.LifetimeRefcounted // nothing
	lifetimeOwned      = wire.LifetimeOwned      // until its creator ends: then it is destroyed
)

// parseLifetime checks the option; nil is the default of the name.
func parseLifetime(text *string, name string) (string, error) {
	switch {
	case text == nil && name != "":
		return lifetimePersistent, nil
	case text == nil:
		return lifetimeRefcounted, nil
	}
	switch *text {
	case lifetimePersistent, lifetimeRefcounted, lifetimeOwned:
		return *text, nil
	}
	return "", status.New(status.Invalid, "", "lifetime is %.32q; it must be persistent, refcounted or owned", *text)
}
