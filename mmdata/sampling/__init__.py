"""From a step to the rows of its batch."""
