"""How much is too much."""

MAX_PIXELS = 178_956_970
"""A larger image is taken for a decompression bomb.

Source: Pillow, twice `Image.MAX_IMAGE_PIXELS`; TensorFlow's limit for a PNG of three channels, too.
"""

MOST_COLUMNS = 1_000
"""A table with more is not one of images and captions: words as keys, or a matrix of numbers."""
