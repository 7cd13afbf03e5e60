"""What can happen to a worker, by topic."""
