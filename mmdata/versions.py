"""Versions of what mmdata computes. Raise the number when an output changes.

They are part of the keys of caches, vocabularies and saved trainings, so that nothing is used that
an older version computed differently. A release that changes no output keeps everything.
"""

PIXELS_VERSION = 1
"""Of decoding, resizing, cropping and normalizing."""

TEXT_VERSION = 1
"""Of cleaning, learning vocabularies, tokenizing and packing."""

ORDER_VERSION = 1
"""Of which examples a step has, which caption each has, and the keys of random numbers."""
