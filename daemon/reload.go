package daemon

// Reload makes the server go by another Config: its limits, who may create what, and the mode and owner of a
// socket of its own. Everything else stays as Start found it. What is there already stays
// too, even beyond a limit. After an error nothing is changed.
//
// Errors: status.Invalid for a bad Config, status.System for a socket whose mode or owner
// cannot be changed.
func (s *Server) Reload(c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := s.endpoint.permit(c); err != nil {
		return err
	}
	s.limit(c)
	s.log.Info("limits", "memory_bytes", c.MemoryBytes, "budget_bytes", c.BudgetBytes, "quota_bytes", c.QuotaBytes,
		"quota_objects", c.QuotaObjects, "quota_connections", c.QuotaConnections, "quota_users", len(c.QuotaUsers),
		"waiting_max", c.WaitingMax, "seats_default", c.SeatsDefault, "name_rules", len(c.Names.Rules))
	return nil
}

// limit sets everything that Reload may change, but the socket.
func (s *Server) limit(c Config) {
	if c.budgetCut != 0 {
		s.log.Warn("the budget is more than half of the memory that there is, and is cut", "budget_bytes", c.budgetCut,
			"memory_bytes", c.MemoryBytes)
	}
	s.quota.setLimits(c)
	s.seatsDefault.Store(c.SeatsDefault)
	s.names.Store(&c.Names)
}
