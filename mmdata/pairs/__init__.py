"""`Pairs`: images with their captions, columns, splits and findings."""
