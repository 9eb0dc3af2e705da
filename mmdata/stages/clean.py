"""`Clean`: captions as people type them -> captions as tokenizers need them."""

import dataclasses
import functools
from typing import Any, Literal

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.checks import require_one_of
from mmdata.stages.html_entities import on_some, unescape
from mmdata.tokenizers.white_space import ASCII_SEPARATORS, OTHER_SPACE

Policy = Literal["keep", "remove"]

_CHOICES: dict[str, tuple[object, ...]] = {
    "lower": (True, False),
    "unescape": (True, False),
    "markup": ("keep", "remove"),
    "links": ("keep", "remove"),
    "normalize": ("NFC", "NFC_FIRST", "NFKC", "NFKC_CF", None),
    "accents": ("keep", "strip"),
    "punctuation": ("keep", "remove"),
    "controls": ("space", "remove", "keep"),
}

# RE2's "." also matches encoded surrogates, overlong forms and what is beyond U+10FFFF.
_VALID = r"[\x00-\x{d7ff}\x{e000}-\x{10ffff}]*"
_CONTROLS = r"\x00-\x1f\x7f-\x{9f}"
INVISIBLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\p{Cf}\p{Co}\x{fffd}]+"
_ENDS = f"^[{ASCII_SEPARATORS} ]+|[{ASCII_SEPARATORS} ]+$"
_TAG = r"<!--(?s:.*?)-->|<[/!?a-zA-Z][^>]*>"
_LINK = r"(?i)\b(?:(?:https?|ftp)://|www\.[0-9a-z])[^ ]*"
_PUNCTUATION = r"[!-/:-@\[-`{-~]+"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean:
    """Makes text uniform: valid UTF-8, single spaces, none at the ends, and the fields' changes.

    caption: string [...], dense or ragged  ->  string [...]

    The order is always: U+FFFD for invalid bytes, character references, control characters,
    spaces, case, accents, markup, links, punctuation, Unicode. Idempotent, with two exceptions.
    `unescape` may leave an "&": "&amp;amp;amp;" becomes "&amp;", and a second time "&". And
    "NFC_FIRST" may leave what NFC would join: the lower case of "H" with a line below is two
    characters, and a second time one.

    Attributes:
      lower: Whether to make text lower case, in every script.
      unescape: Whether to replace HTML's character references, twice: many captions from the web
        are escaped twice.
      markup: "remove" replaces each HTML tag and comment by a space.
      links: "remove" replaces by a space what begins with "http://", "https://", "ftp://" or
        "www.", up to the next space.
      normalize: "NFC"; "NFC_FIRST", which is NFC before `unescape` and `lower`, and not after them;
        "NFKC", which also makes "ﬁ" "fi" and "²" "2"; "NFKC_CF", which also folds the case, so that
        "STRASSE" and "Straße" become the same; None does not normalize.
      accents: "strip" removes all nonspacing marks (category Mn). Without `normalize`, or with
        "NFC_FIRST", decomposed characters then stay decomposed, Korean for instance.
      punctuation: "remove" removes ASCII punctuation, as in Python's `string.punctuation`.
      controls: "space" replaces control characters (category Cc) by spaces; "remove" removes them,
        except tabs and line ends, and also invisible and private characters (categories Cf, Co)
        and U+FFFD; "keep" keeps those that are not white space.

    Raises:
      ValueError: A field is invalid.

    Source: Unicode Standard Annexes #15 (NFC, NFKC), #31 (NFKC_CF, NFKC_Casefold) and #44
    (categories); `unescape`: HTML, as Python's `html.unescape`.
    """

    lower: bool = True
    unescape: bool = False
    markup: Policy = "keep"
    links: Policy = "keep"
    normalize: Literal["NFC", "NFC_FIRST", "NFKC", "NFKC_CF"] | None = "NFC"
    accents: Literal["keep", "strip"] = "keep"
    punctuation: Policy = "keep"
    controls: Literal["space", "remove", "keep"] = "space"

    to_dict = as_dict

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            require_one_of(f"Clean({name}=...)", getattr(self, name), choices)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Clean":
        """Returns the cleaning that a family of models was trained with, with some fields changed.

        >>> Clean.preset("clip", lower=False).unescape
        True

        Raises:
          ValueError: There is no such name, or a change is invalid.
          TypeError: A change is not a field.
        """
        if name not in tuple(PRESETS):
            raise ValueError(f"clean=... must be one of {list(PRESETS)} or a Clean; got {name!r}.")
        return dataclasses.replace(PRESETS[name], **changes)

    def __call__(self, example: Example) -> Example:
        cleaned = tf.ragged.map_flat_values(self._any_shape, example["caption"])
        return {**example, "caption": cleaned}

    def _any_shape(self, text: Any) -> Any:
        text = tf.convert_to_tensor(text)
        cleaned = tf.reshape(self._cleaned(tf.reshape(text, [-1])), tf.shape(text))
        return tf.ensure_shape(cleaned, text.shape)

    def _cleaned(self, text: Any) -> Any:
        """String [n] -> string [n]; most captions are ASCII, and need only the last two steps."""
        is_plain = tf.strings.regex_full_match(text, self._plain)
        text = on_some(text, ~is_plain, self._thoroughly)
        if self.lower or self.normalize == "NFKC_CF":
            text = tf.strings.lower(text)
        if self.punctuation == "remove":
            text = tf.strings.regex_replace(text, _PUNCTUATION, "")
        return text

    @property
    def _plain(self) -> str:
        """Matches ASCII words between single spaces that only these two steps change."""
        special = "&" * self.unescape + "<" * (self.markup == "remove")
        special += ":." * (self.links == "remove")
        letters = "".join(
            f"\\x{code:02x}" for code in range(0x21, 0x7F) if chr(code) not in special
        )
        word = f"[{letters}]+"
        if self.punctuation == "remove":  # a word of only punctuation would leave two spaces
            word = f"[{letters}]*[0-9A-Za-z][{letters}]*"
        return f"(?:{word}(?: {word})*)?"

    def _thoroughly(self, text: Any) -> Any:
        """String [n] -> string [n], in an order in which no step undoes another."""
        is_valid = tf.strings.regex_full_match(text, _VALID)
        text = on_some(text, ~is_valid, tf_text.coerce_to_structurally_valid_utf8)
        if self.normalize == "NFC_FIRST":
            text = tf_text.normalize_utf8(text, "NFC")
        if self.unescape:
            text = on_some(text, tf.strings.regex_full_match(text, "(?s).*&.*"), _unescaped_twice)
        text = self._single_spaces(text)
        removes = "remove" in (self.markup, self.links, self.punctuation)
        is_compatible = self.normalize in ("NFKC", "NFKC_CF")
        normalizes = self.normalize not in (None, "NFC_FIRST")
        if is_compatible or (normalizes and removes):
            text = self._normalized(text)  # may make capitals, "<" and spaces
        if self.lower:
            text = self._lowered(text)
        if self.accents == "strip":
            text = tf.strings.regex_replace(tf_text.normalize_utf8(text, "NFD"), r"\p{Mn}+", "")
        if self.markup == "remove":
            text = tf.strings.regex_replace(text, _TAG, " ")
        if self.links == "remove":
            text = tf.strings.regex_replace(text, _LINK, " ")
        if self.punctuation == "remove":
            text = tf.strings.regex_replace(text, _PUNCTUATION, "")
        if normalizes:
            text = self._normalized(text)
        if removes or self.accents == "strip" or is_compatible:
            text = tf.strings.regex_replace(text, "  +", " ")
        if self.controls == "keep":
            return tf.strings.regex_replace(text, _ENDS, "")
        return tf.strings.strip(text)

    def _single_spaces(self, text: Any) -> Any:
        spaces = OTHER_SPACE
        if self.controls == "remove":
            text = tf.strings.regex_replace(text, INVISIBLE, "")
        if self.controls == "space":
            spaces += _CONTROLS
        # A match for each word would take three times as long.
        return tf.strings.regex_replace(text, f"[ {spaces}]{{2,}}|[{spaces}]", " ")

    def _normalized(self, text: Any) -> Any:
        if self.normalize == "NFKC_CF":
            return tf_text.case_fold_utf8(text)
        return tf_text.normalize_utf8(text, self.normalize)

    def _lowered(self, text: Any) -> Any:
        lowered = functools.partial(tf.strings.lower, text, encoding="utf-8")
        if self.controls != "keep":
            return lowered()
        # `lowered` would end a text at its first U+0000.
        has_nul = tf.strings.regex_full_match(text, r"(?s).*\x00.*")
        return tf.cond(tf.reduce_any(has_nul), lambda: _lowered_parts(text), lowered)


PRESETS: dict[str, Clean] = {
    "lower": Clean(),
    "light": Clean(lower=False),
    "clip": Clean(unescape=True, normalize="NFC_FIRST", controls="keep"),
    "siglip": Clean(normalize=None, punctuation="remove", controls="keep"),
    "bert": Clean(normalize=None, accents="strip", controls="remove"),
}
"""The presets of `Clean.preset`.

Sources: "clip": OpenAI's `simple_tokenizer.py`, `basic_clean`, `whitespace_clean` and lower case,
byte for byte, with NFC instead of ftfy, whose last step is NFC; "siglip": Hugging Face's
`SiglipTokenizer.canonicalize_text` and lower case, except that SigLIP replaces U+001C to U+001F
inside a text by spaces; "bert": Hugging Face's `BertNormalizer`, single-spaced, without spaces
around Chinese characters, which the tokenizer adds; a Greek capital sigma at the end of a word
becomes a final one, as in Google's BERT.
"""


def _unescaped_twice(text: Any) -> Any:
    # A loop, since the graph is large: unrolled, it would take twice as long to start.
    return tf.while_loop(
        lambda _: True, lambda text: [unescape(text)], [text], maximum_iterations=2
    )[0]


def _lowered_parts(text: Any) -> Any:
    """Makes the parts between U+0000 lower case: string [n], valid UTF-8."""
    nul = tf.constant(b"\0")  # as an attribute of an op, such as a separator, it would be lost
    parts = tf.strings.split(text, nul)
    lowered = tf.ragged.map_flat_values(tf.strings.lower, parts, encoding="utf-8")
    return tf.strings.regex_replace(tf.strings.reduce_join(lowered + nul, axis=-1), r"\x00$", "")
