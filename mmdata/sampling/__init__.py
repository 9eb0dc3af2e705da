"""Step -> the rows of its batch."""
