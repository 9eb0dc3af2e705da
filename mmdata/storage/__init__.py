"""What mmdata saves for itself: rows by key, in one format."""
