package store

// RotationsWaiting is how many rotations wait for the one under way.
func (s *Store) RotationsWaiting() int {
	s.rotations.mu.Lock()
	defer s.rotations.mu.Unlock()
	return len(s.rotations.waiting)
}
