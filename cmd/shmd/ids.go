package main

import (
	"os/user"
	"strconv"
	"strings"
)

// ownerFlag is USER[:GROUP], by name or number; without a group that stays as it is.
type ownerFlag struct {
	text     string
	uid, gid *int // nil = as it is
}

// Set implements pflag.Value.
func (o *ownerFlag) Set(text string) error {
	userName, groupName, hasGroup := strings.Cut(text, ":")
	uid, err := userID(userName)
	if err != nil {
		return err
	}
	owner := ownerFlag{text: text, uid: new(int(uid))}
	if hasGroup {
		gid, err := groupID(groupName)
		if err != nil {
			return err
		}
		owner.gid = new(int(gid))
	}
	*o = owner
	return nil
}

// String implements pflag.Value.
func (o *ownerFlag) String() string { return o.text }

// Type implements pflag.Value.
func (*ownerFlag) Type() string { return "USER[:GROUP]" }

// userID reads the number of a user, or his name.
func userID(text string) (uint32, error) {
	return resolveID(text, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

// groupID is userID of a group.
func groupID(text string) (uint32, error) {
	return resolveID(text, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// resolveID reads a number, or what lookup makes of a name.
func resolveID(text string, lookup func(name string) (string, error)) (uint32, error) {
	number, err := strconv.ParseUint(text, 10, 31)
	if err == nil {
		return uint32(number), nil
	}
	found, err := lookup(text)
	if err != nil {
		return 0, err
	}
	number, err = strconv.ParseUint(found, 10, 31)
	return uint32(number), err
}
