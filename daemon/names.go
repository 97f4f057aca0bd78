package daemon

import (
	"slices"
	"strconv"
	"strings"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Names say who may create objects under which names. Whole parts count: the prefix a/b is
// that of a/b and a/b/c, not of a/bc. The rule with the longest prefix that a name has
// decides; without one everybody may. Root may everything, and anonymous objects have no
// name to be kept from.
type Names struct {
	// Own is a prefix whose next part is the number of the only user who may create
	// there: with "uid", uid/1000 and uid/1000/a are for user 1000. "" = there is none.
	Own   string
	Rules []NameRule
}

// NameRule is one of Names. Who is of none of it may not.
type NameRule struct {
	Prefix    string // "" = all names
	Everybody bool
	UIDs      []uint32
	GIDs      []uint32 // supplementary groups count
}

// check says what is wrong with them.
func (n *Names) check() error {
	prefixes := make(map[string]bool, len(n.Rules))
	for i := range n.Rules {
		prefix := n.Rules[i].Prefix
		if prefix != "" {
			if err := wire.ValidateName(prefix); err != nil {
				return err
			}
		}
		if prefixes[prefix] {
			return status.New(status.Invalid, "start the daemon", "two rules for the names under %q: make them one",
				prefix)
		}
		prefixes[prefix] = true
	}
	if n.Own != "" {
		return wire.ValidateName(n.Own)
	}
	return nil
}

// permits checks that a process may create an object of that name, else Permission.
func (n *Names) permits(p *peer, name string) error {
	if name == "" || p.uid == 0 {
		return nil
	}
	var rule *NameRule
	for i := range n.Rules {
		if r := &n.Rules[i]; (rule == nil || len(r.Prefix) > len(rule.Prefix)) && isUnder(name, r.Prefix) {
			rule = r
		}
	}
	if n.Own != "" && isUnder(name, n.Own) && (rule == nil || len(rule.Prefix) <= len(n.Own)) {
		if own := n.ownOf(p); !isUnder(name, own) {
			return status.New(status.Permission, "", "the names under %s are each user's own: those of user %d begin "+
				"with %s/", n.Own, p.uid, own).On(name)
		}
		return nil
	}
	if rule == nil || rule.Everybody || slices.Contains(rule.UIDs, p.uid) || slices.ContainsFunc(rule.GIDs, p.in) {
		return nil
	}
	where := "names under " + rule.Prefix
	if rule.Prefix == "" {
		where = "such names"
	}
	remedy := "ask who configures the daemon, or choose another name"
	if n.Own != "" {
		remedy += ", such as " + n.ownOf(p) + "/" + name
	}
	return status.New(status.Permission, "", "user %d may not create %s: %s", p.uid, where, remedy).On(name)
}

// ownOf is the prefix of a user's own names.
func (n *Names) ownOf(p *peer) string { return n.Own + "/" + strconv.FormatUint(uint64(p.uid), 10) }

// isUnder reports whether a name is the prefix, or begins with its parts.
func isUnder(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '/')
}
