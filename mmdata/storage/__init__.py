"""What mmdata writes for itself: rows by key, in one form."""
