"""What decides, compiled: candidates of an event, the first question each fails, and the best of the rest."""
