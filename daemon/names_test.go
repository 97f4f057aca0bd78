package daemon

import (
	"errors"
	"testing"

	"github.com/shmd/shmd/status"
)

// The longest prefix of whole parts decides, whatever the order of the rules.
func TestNames(t *testing.T) {
	n := &Names{Own: "uid", Rules: []NameRule{
		{Prefix: "a/b/c", Everybody: true},
		{Prefix: "a", UIDs: []uint32{1}},
		{Prefix: "a/b", UIDs: []uint32{2}, GIDs: []uint32{50}},
		{Prefix: "closed"},
		{Prefix: "uid/7/shared", Everybody: true},
	}}
	if err := n.check(); err != nil {
		t.Fatal(err)
	}
	root, first, second := &peer{}, &peer{uid: 1, gid: 1}, &peer{uid: 2, gid: 2}
	grouped, supplementary := &peer{uid: 3, gid: 50}, &peer{uid: 4, gid: 4, groups: []uint32{9, 50}}
	for _, c := range []struct {
		name string
		may  []*peer
		not  []*peer
	}{
		{"", []*peer{root, first, second}, nil},
		{"ab", []*peer{root, first, second, grouped}, nil},
		{"a", []*peer{root, first}, []*peer{second, grouped}},
		{"a/x", []*peer{root, first}, []*peer{second, grouped}},
		{"a/bc", []*peer{root, first}, []*peer{second, grouped}},
		{"a/b", []*peer{root, second, grouped, supplementary}, []*peer{first}},
		{"a/b/x/y", []*peer{root, second, grouped, supplementary}, []*peer{first}},
		{"a/b/c/x", []*peer{root, first, second, grouped}, nil},
		{"closed/x", []*peer{root}, []*peer{first, second, grouped, supplementary}},
		{"uid/1", []*peer{root, first}, []*peer{second}},
		{"uid/1/x", []*peer{root, first}, []*peer{second}},
		{"uid/11", []*peer{root}, []*peer{first, second}},
		{"uid", []*peer{root}, []*peer{first, second}},
		{"uid/ann/x", []*peer{root}, []*peer{first, second}},
		{"uid/7/shared/x", []*peer{root, first, second}, nil},
		{"uidx", []*peer{root, first, second}, nil},
	} {
		for _, p := range c.may {
			if err := n.permits(p, c.name); err != nil {
				t.Errorf("user %d may not create %q: %v", p.uid, c.name, err)
			}
		}
		for _, p := range c.not {
			if err := n.permits(p, c.name); !errors.Is(err, status.Permission) {
				t.Errorf("user %d may create %q: %v", p.uid, c.name, err)
			}
		}
	}
	// Today's default.
	if err := (&Names{}).permits(first, "uid/2/x"); err != nil {
		t.Error(err)
	}
	for _, bad := range []Names{{Own: "a//b"}, {Rules: []NameRule{{Prefix: "a/"}}},
		{Rules: []NameRule{{Prefix: "a"}, {Prefix: "a"}}}} {
		if err := bad.check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
