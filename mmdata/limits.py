"""How much is too much."""

MAX_PIXELS = 178_956_970
"""A larger image is taken for a decompression bomb.

Source: Pillow, twice `Image.MAX_IMAGE_PIXELS`; TensorFlow's limit for a PNG of three channels, too.
"""
