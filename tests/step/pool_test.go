package step

// pool keeps a few players ready: connected, warm, the object open.
type pool struct {
	ready chan readied
	stop  chan struct{}
	ended chan struct{}
}

type readied struct {
	process *process
	err     error
}

// poolSize is how many wait, so that starting them costs no time of the tracer's.
const poolSize = 2

// newPool starts players of a program and lets each do the lines.
func newPool(path, socket string, env []string, lines ...string) *pool {
	p := &pool{make(chan readied, poolSize), make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(p.ended)
		for {
			process, err := spawn(path, socket, env...)
			for _, line := range lines {
				if err == nil {
					err = process.do(line)
				}
			}
			select {
			case p.ready <- readied{process, err}:
			case <-p.stop:
				if process != nil {
					process.kill()
				}
				return
			}
		}
	}()
	return p
}

// take returns one that nobody else gets.
func (p *pool) take() (*process, error) {
	r := <-p.ready
	return r.process, r.err
}

// close ends those that nobody has taken.
func (p *pool) close() {
	close(p.stop)
	<-p.ended
	close(p.ready)
	for r := range p.ready {
		if r.process != nil {
			r.process.kill()
		}
	}
}
