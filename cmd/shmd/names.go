package main

import (
	"fmt"
	"strings"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// everybody stands for all users in a rule.
const everybody = "*"

// elementError is what is wrong with an element of a list, which may stand in a line of
// its own.
type elementError struct {
	number int
	err    error
}

// Error implements error.
func (e *elementError) Error() string { return e.err.Error() }

// Unwrap yields the inner error.
func (e *elementError) Unwrap() error { return e.err }

// takeOwn takes the prefix of each user's own names.
func (f *serveFlags) takeOwn(line *configLine) error {
	if err := wire.ValidateName(line.value.text); err != nil {
		return err
	}
	f.config.Names.Own = line.value.text
	return nil
}

// takeRule takes who may create under a prefix, which is the end of the key.
func (f *serveFlags) takeRule(line *configLine) error {
	rule := daemon.NameRule{Prefix: line.key[len(line.key)-1]}
	if rule.Prefix != "" {
		if err := wire.ValidateName(rule.Prefix); err != nil {
			return err
		}
	}
	for _, who := range line.value.list {
		if err := takeWho(&rule, who); err != nil {
			return &elementError{who.number, err}
		}
	}
	f.config.Names.Rules = append(f.config.Names.Rules, rule)
	return nil
}

// takeWho takes a user, "@" and a group, or everybody.
func takeWho(rule *daemon.NameRule, who configValue) error {
	if who.kind != valueString && who.kind != valueInteger {
		return fmt.Errorf("an element is %s: want users by name or number, \"@\" and a group, or \"%s\" for everybody",
			who.kind, everybody)
	}
	if who.text == everybody {
		rule.Everybody = true
		return nil
	}
	if group, is := strings.CutPrefix(who.text, "@"); is {
		gid, err := groupID(group)
		rule.GIDs = append(rule.GIDs, gid)
		return err
	}
	uid, err := userID(who.text)
	rule.UIDs = append(rule.UIDs, uid)
	return err
}
