"""Unicode's white space, for character classes of RE2, whose own white space is only ASCII's.

Source: Unicode, property White_Space.
"""

OTHER_SPACE = r"\t-\r\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
"""White space except U+0020."""

SPACE = f" {OTHER_SPACE}"
"""White space."""

ASCII_SEPARATORS = r"\x1c-\x1f"
"""Four controls that Python's `str.strip` and `str.split` also treat as spaces."""
