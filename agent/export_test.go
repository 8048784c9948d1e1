package agent

// Working is closed when Run has begun to take runs on.
func (s *Shell) Working() <-chan struct{} { return s.begun }
