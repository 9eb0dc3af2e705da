"""Captions as people type them -> captions as tokenizers want them."""

import dataclasses
import functools
from typing import Any, Literal

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.html_entities import on_some, unescape
from mmdata.tokenizers.words import WIDE

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

# RE2's "." takes encoded surrogates, overlong forms and what is beyond U+10FFFF too.
_VALID = r"[\x00-\x{d7ff}\x{e000}-\x{10ffff}]*"
_CONTROLS = r"\x00-\x1f\x7f-\x{9f}"
_UNSEEN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\p{Cf}\p{Co}\x{fffd}]+"
_ENDS = r"^[\x1c-\x1f ]+|[\x1c-\x1f ]+$"  # Python's str.strip takes these four for spaces
_TAG = r"<!--(?s:.*?)-->|<[/!?a-zA-Z][^>]*>"
_LINK = r"(?i)\b(?:(?:https?|ftp)://|www\.[0-9a-z])[^ ]*"
_PUNCTUATION = r"[!-/:-@\[-`{-~]+"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean:
    """Makes text uniform: valid UTF-8, single spaces, none at the ends, and what its fields say.

    caption: string [...], dense or ragged  ->  string [...]

    Does all in one order, whatever the fields: U+FFFD for invalid bytes, character references,
    control characters, spaces, case, accents, markup, links, punctuation, Unicode. Idempotent, with
    two exceptions. Where `unescape` leaves an "&": "&amp;amp;amp;" becomes "&amp;", and that would
    become "&". And where "NFC_FIRST" leaves what NFC would join: of "H" with a line below, the
    lower case is two characters, and these would become one.

    Attributes:
      lower: Whether to lower the case, in every script.
      unescape: Whether to replace HTML's character references, twice: many captions of the web were
        escaped twice.
      markup: "remove" puts a space for each HTML tag and comment.
      links: "remove" puts a space for what begins with "http://", "https://", "ftp://" or "www.",
        up to the next space.
      normalize: "NFC"; "NFC_FIRST", which is NFC before `unescape` and `lower`, and not after them;
        "NFKC", which also makes "ﬁ" "fi" and "²" "2"; "NFKC_CF", which also folds the case, so that
        "STRASSE" and "Straße" are the same; None leaves characters as they are composed.
      accents: "strip" takes off all marks that take no space of their own (category Mn). Without
        `normalize`, or with "NFC_FIRST", it also leaves all that can be decomposed so, Korean for
        instance.
      punctuation: "remove" takes out ASCII's, Python's `string.punctuation`.
      controls: "space" takes control characters for spaces (category Cc); "remove" takes them out,
        but for tabs and line ends, and with them invisible and private ones and U+FFFD (categories
        Cf, Co); "keep" keeps those that are no white space.

    Raises:
      ValueError: A field is none of these.

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
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(
                    f"Clean({name}=...) must be one of {list(choices)}; got {value!r}."
                )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Clean":
        """The cleaning that a family of models was trained with, with some fields changed.

        >>> Clean.preset("clip", lower=False).unescape
        True

        Raises:
          ValueError: There is no such name, or a change is out of range.
          TypeError: A change is no field.
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
        """String [n] -> string [n]; most captions are ASCII, and need but the last two steps."""
        is_plain = tf.strings.regex_full_match(text, self._plain)
        text = on_some(text, ~is_plain, self._thoroughly)
        if self.lower or self.normalize == "NFKC_CF":
            text = tf.strings.lower(text)
        if self.punctuation == "remove":
            text = tf.strings.regex_replace(text, _PUNCTUATION, "")
        return text

    @property
    def _plain(self) -> str:
        """Matches words of ASCII between single spaces that no step changes but these two."""
        special = "&" * self.unescape + "<" * (self.markup == "remove")
        special += ":." * (self.links == "remove")
        letters = "".join(
            f"\\x{code:02x}" for code in range(0x21, 0x7F) if chr(code) not in special
        )
        word = f"[{letters}]+"
        if self.punctuation == "remove":  # a word of nothing else would leave two spaces
            word = f"[{letters}]*[0-9A-Za-z][{letters}]*"
        return f"(?:{word}(?: {word})*)?"

    def _thoroughly(self, text: Any) -> Any:
        """String [n] -> string [n], in an order in which no step undoes what another did."""
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
        odd = WIDE
        if self.controls == "remove":
            text = tf.strings.regex_replace(text, _UNSEEN, "")
        if self.controls == "space":
            odd += _CONTROLS
        # Not a match for each word: that takes three times as long.
        return tf.strings.regex_replace(text, f"[ {odd}]{{2,}}|[{odd}]", " ")

    def _normalized(self, text: Any) -> Any:
        if self.normalize == "NFKC_CF":
            return tf_text.case_fold_utf8(text)
        return tf_text.normalize_utf8(text, self.normalize)

    def _lowered(self, text: Any) -> Any:
        lowered = functools.partial(tf.strings.lower, text, encoding="utf-8")
        if self.controls != "keep":
            return lowered()
        # That would end a text at its first U+0000.
        has_nul = tf.strings.regex_full_match(text, r"(?s).*\x00.*")
        return tf.cond(tf.reduce_any(has_nul), lambda: _lowered_parts(text), lowered)


PRESETS: dict[str, Clean] = {
    "lower": Clean(),
    "light": Clean(lower=False),
    "clip": Clean(unescape=True, normalize="NFC_FIRST", controls="keep"),
    "siglip": Clean(normalize=None, punctuation="remove", controls="keep"),
    "bert": Clean(normalize=None, accents="strip", controls="remove"),
}
"""What the names that `Clean.preset` takes stand for.

Sources: "clip": OpenAI's `simple_tokenizer.py`, `basic_clean`, `whitespace_clean` and lower case,
byte for byte, with NFC in the place of ftfy, which ends with it; "siglip": Hugging Face's
`SiglipTokenizer.canonicalize_text` and lower case, but for U+001C to U+001F inside a text, which it
takes for spaces; "bert": Hugging Face's `BertNormalizer`, single-spaced, without spaces around
Chinese characters, which its tokenizer adds; a Greek capital sigma that ends a word becomes a final
one, as in Google's own BERT.
"""


def _unescaped_twice(text: Any) -> Any:
    # A loop, as the graph is large: unrolled, it would take twice as long to start.
    return tf.while_loop(
        lambda _: True, lambda text: [unescape(text)], [text], maximum_iterations=2
    )[0]


def _lowered_parts(text: Any) -> Any:
    """Lowers the case between U+0000: string [n], valid UTF-8."""
    nul = tf.constant(b"\0")  # as an attribute, a separator for instance, it would be lost
    parts = tf.strings.split(text, nul)
    lowered = tf.ragged.map_flat_values(tf.strings.lower, parts, encoding="utf-8")
    return tf.strings.regex_replace(tf.strings.reduce_join(lowered + nul, axis=-1), r"\x00$", "")
