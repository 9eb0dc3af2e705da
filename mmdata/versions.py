"""Versions of what mmdata computes. Raise the number when an output changes.

The versions are part of the keys of caches, vocabularies and saved trainings. So results of an
older version that would differ are not used. A release that does not change outputs keeps all.
"""

PIXELS_VERSION = 1
"""Covers decoding, resizing, cropping and normalizing."""

TEXT_VERSION = 2
"""Covers cleaning, learning vocabularies, tokenizing and packing."""

ORDER_VERSION = 2
"""Covers which examples a step has, which caption each one has, and the random keys."""
