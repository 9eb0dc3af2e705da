"""Upper limits for what is read."""

MAX_PIXELS = 178_956_970
"""A larger image is treated as a decompression bomb.

Source: Pillow, twice `Image.MAX_IMAGE_PIXELS`; also TensorFlow's limit for a PNG of three channels.
"""

MOST_COLUMNS = 1_000
"""A table with more is not one of images and captions: its keys are words, or it is a matrix."""
