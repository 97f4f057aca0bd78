package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shmd/shmd/daemon"
)

// userLimits are the limits of single users.
type userLimits map[uint32]daemon.Limits

// set takes a limit of a user, in place of what he has.
func (u userLimits) set(uid uint32, name, text string) error {
	limits := u[uid]
	field := limits.Limit(name)
	if field == nil {
		return fmt.Errorf("there is no limit %q: want one of %s", name, strings.Join(daemon.LimitNames(), ", "))
	}
	var n sizeFlag
	if err := n.Set(text); err != nil || n == 0 {
		return fmt.Errorf("%q is no limit: want a number, or one with K, M, G or T, not 0", text)
	}
	*field = uint64(n)
	u[uid] = limits
	return nil
}

// parseQuotaUsers reads what --quota-user was given: USER:LIMIT=N,... each.
func parseQuotaUsers(given []string) (userLimits, error) {
	users := make(userLimits)
	for _, text := range given {
		who, what, found := strings.Cut(text, ":")
		if !found {
			return nil, usage("--quota-user %s: want USER:LIMIT=N,... such as 1000:objects=500,bytes=1G", text)
		}
		uid, err := userID(who)
		if err != nil {
			return nil, usage("--quota-user %s: %w", text, err)
		}
		for _, each := range strings.Split(what, ",") {
			name, number, _ := strings.Cut(each, "=")
			if err := users.set(uid, name, number); err != nil {
				return nil, usage("--quota-user %s: %w", text, err)
			}
		}
	}
	return users, nil
}

// userKey is how a limit of a user is called in the configuration file.
func userKey(uid uint32, limit string) string { return fmt.Sprintf("quota.user.%d.%s", uid, limit) }

// takeUserLimit takes a limit of a user, who is the last but one of the key.
func (f *serveFlags) takeUserLimit(line *configLine) error {
	who, limit := line.key[len(line.key)-2], line.key[len(line.key)-1]
	uid, err := userID(who)
	if err != nil {
		return err
	}
	key := userKey(uid, limit)
	if before, twice := f.userOrigins[key]; twice {
		return fmt.Errorf("user %d has this limit by another name already, from %s", uid, before)
	}
	f.userOrigins[key] = f.origins[keyText(line.key)]
	return f.users.set(uid, limit, line.value.text)
}

// takeUserFlags has --quota-user come before the file.
func (f *serveFlags) takeUserFlags(given userLimits) error {
	for uid, limits := range given {
		for _, name := range daemon.LimitNames() {
			n := *limits.Limit(name)
			if n == 0 {
				continue
			}
			if err := f.users.set(uid, name, strconv.FormatUint(n, 10)); err != nil {
				return err
			}
			f.userOrigins[userKey(uid, name)] = "--quota-user"
		}
	}
	return nil
}

// userValues are the limits that hold, and from where.
func (f *serveFlags) userValues() (all []settingValue) {
	for _, uid := range slices.Sorted(maps.Keys(f.users)) {
		limits := f.users[uid]
		for _, name := range daemon.LimitNames() {
			if n := *limits.Limit(name); n != 0 {
				key := userKey(uid, name)
				all = append(all, settingValue{key, strconv.FormatUint(n, 10), f.userOrigins[key]})
			}
		}
	}
	return all
}
