package daemon

// How a client ended, for the log.
const (
	endBye      = "said bye"
	endClosed   = "closed its connection, without any mapping"
	endDied     = "process died"
	endAbsent   = "did not come back after a restart"
	endUnmapped = "closed its connection, and has nothing mapped any more"
)

// died is told by the death watch: the process of an enrolled client is gone.
func (s *Server) died(c *client) {
	c.notice()
	c.mu.Lock()
	ended, session := c.ended, c.session
	c.mu.Unlock()
	if ended {
		s.recoverClient(c, endDied)
		return
	}
	// Whoever inherited the connection keeps it open: end it from here. Nobody
	// is left to read answers.
	session.drain(0)
}

// ended is told by a session whose read loop and calls are over. What the client
// has is given back if it is gone with its connection; a mapped process that
// lives may still write, and is a zombie until it does not.
func (s *Server) ended(session *session) {
	s.mu.Lock()
	delete(s.sessions, session)
	s.checkDeserted()
	s.mu.Unlock()
	c := session.client
	if c == nil || c.id == 0 { // it never said hello
		if c != nil {
			c.peer.close()
		}
		s.quota.release(session.uid, connectionAmounts...)
		return
	}
	c.mu.Lock()
	c.ended = true // from here on died does it
	c.mu.Unlock()
	switch {
	case session.bye != nil:
		s.recoverClient(c, endBye)
	case session.stopped():
		// Shutdown comes to it when all sessions have ended: before, a call that
		// still waits in another one would be granted what is given back here.
	case c.peer.dead():
		s.recoverClient(c, endDied)
	case !c.mapped.Load():
		s.recoverClient(c, endClosed)
	case !s.mayWrite(c):
		s.recoverClient(c, endUnmapped)
	default:
		s.zombies.add(c)
		s.log.Info("a client closed its connection and may still write", "client", c.id, "pid", c.peer.pid,
			"uid", c.peer.uid)
	}
}

// leave gives back, at shutdown, what the clients have that are gone with their
// connections. The others live on without a daemon.
func (s *Server) leave() {
	s.mu.Lock()
	clients := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		clients = append(clients, c)
	}
	s.mu.Unlock()
	for _, c := range clients {
		if !c.mapped.Load() || c.peer.dead() {
			s.recoverClient(c, endClosed)
		}
	}
}
