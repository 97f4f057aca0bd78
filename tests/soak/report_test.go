package soak

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/shmd/shmd/tests/history"
)

// report writes what everybody did in the round that an audit complains of, by object and in
// time, what they have at its end, and the images of the objects; and names the directory, which
// outlives the test.
func (s *stage) report() string {
	s.t.Helper()
	type deed struct {
		client int
		*history.Entry
	}
	deeds := make([][]deed, len(s.infos))
	for _, c := range s.current {
		for i := range c.entries {
			if e := &c.entries[i]; e.Op != history.OpPause && e.Call != 0 {
				deeds[e.Object] = append(deeds[e.Object], deed{c.client, e})
			}
		}
	}
	dir, err := os.MkdirTemp("", "shmd-soak-")
	if err != nil {
		s.t.Fatal(err)
	}
	text := s.describe()
	for _, c := range s.current {
		if c.death != nil {
			text += fmt.Sprintf("client %d was killed: %+v\n", c.client, *c.death)
		}
	}
	for i, of := range deeds {
		slices.SortFunc(of, func(a, b deed) int { return cmp.Compare(a.Call, b.Call) })
		text += fmt.Sprintf("\nobject %d, %s:\n", i, s.infos[i].Name)
		for _, d := range of {
			text += fmt.Sprintf("%d %d client %d: %v\n", d.Call, d.Return, d.client, d.Entry)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("round%d.txt", s.round)), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.images(dir)
	return dir
}

// images copies the segments.
func (s *stage) images(dir string) {
	s.t.Helper()
	for _, o := range s.infos {
		image, err := s.daemon.Segment(o.ID).Image()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, o.Name+".image"), image, 0o600)
		}
		if err != nil {
			s.t.Error(err)
		}
	}
}
