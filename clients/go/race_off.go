//go:build !race

package shmd

func (o *object) acquired()  {}
func (o *object) releasing() {}
