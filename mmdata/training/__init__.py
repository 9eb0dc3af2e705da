"""Training, evaluating and resuming."""
