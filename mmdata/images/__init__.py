"""Image files -> pixels: decode, resize, cache, and what happens to corrupt files."""
