"""Words in English captions that augmentation could make false: sides, writing, colours."""

import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

Swaps = tuple[tuple[str, str], ...]
Patterns = tuple[str, ...]

ENGLISH_SIDES: Swaps = (
    ("left", "right"),
    ("leftmost", "rightmost"),
    ("leftward", "rightward"),
    ("leftwards", "rightwards"),
    ("lefthand", "righthand"),
    ("lefthanded", "righthanded"),
)
"""Words to swap when an image is mirrored."""

_SIDE = r"(?:left|right)"
_OWNERS = r"(?:the|his|her|its|their|my|your|our)"
_CORNERS = r"(?:far|upper|lower|top|bottom|extreme|front|rear|back|cent(?:er|re)|middle)"
_PARTS = (
    "hands?|handed|handers?|arms?|legs?|foot|feet|shoulders?|ears?|eyes?|wrists?|elbows?|knees?|"
    "thumbs?|fingers?|paws?|cheeks?|sides?|corner|lanes?|turns?|wings?|wall|third|half|edge|arrow|"
    "page|portion|panel|platform"
)
_AFTER = (
    r"\s*(?:$|[.,;:!?)&/-]|\b(?:of|and|or|in|on|with|near|by|from|while|as|is|are|was|were|has|have|"
    r"wearing|holding|standing|sitting|lying|looking|facing|riding|walking|eating|having)\b)"
)

ENGLISH_SIDE_PHRASES: Patterns = (
    rf"\b{_SIDE}(?:most|wards?|hand|handed)\b",
    rf"\b{_OWNERS}\s+(?:{_CORNERS}[\s-]+)?{_SIDE}(?:[\s-]+(?:{_PARTS})\b|{_AFTER})",
    rf"\b{_CORNERS}[\s-]+{_SIDE}(?:[\s-]+(?:{_PARTS})\b|\s*(?:$|[.,;:!?)]|of\b))",
    rf"\b{_SIDE}[\s-]+(?:{_PARTS})\b",
    rf"\b(?:looking|facing|turning|pointing|leaning|heading)\s+{_SIDE}\s*(?:$|[.,;:!?)]|and\b|or\b)",
    rf"\b{_SIDE}\s*(?:and|or|/|&)\s*{_SIDE}\b",
)
"""Phrases in which left and right mean sides, unless a pattern of `ENGLISH_WRITING` matches.

A list of the other senses would have no end: "was left open", "one slice left", "right next to",
"the right shoes".
"""

ENGLISH_WRITING: Patterns = (
    # Writing, and other things that look wrong in a mirror.
    r"\bsigns?\b|\bsay(?:s|ings?)?\b|\bsaid\b|\bread(?:s|ing|ings)?\b|\bstat(?:es?|ed|ing)\b",
    r"\bwrit(?:e|es|ing|ings|ten)\b|\bwrote\b|\btexts?\b|\bletter|\bword(?:s|ed|ing|y)?\b",
    r"\bspel(?:ls?|led|ling|t)\b|\blabel|\binscri(?:be|pt)|\bengrav|\blogos?\b|\binitials?\b",
    r"\balphabet|\bcaption|\bslogan|\bmessages?\b|\bname[sd]?\b|\b(?:en)?titled?\b|\bfonts?\b",
    r"\bgraffiti\b|\bnews\s?papers?\b|\bmagazines?\b|\bmark(?:ed|ings?)\b|\bbillboards?\b|\bbanners?\b",
    r"\bquot(?:e|es|ed|ing)\b|\bmonogram|\badverti[sz]|\bnumbers\b|\bnumber(?:ed|ing)\b|\bnumeral",
    r"\bnumber\s+(?:\d|one|two|three|four|five|six|seven|eight|nine|ten)|\bdigits?\b|#\s*\d",
    r"""["“”„‟«»]|``|(?:^|[\s(])['\x{2018}][^\s'\x{2018}\x{2019}][^'\x{2018}\x{2019}]*"""
    r"""['\x{2019}](?:$|[\s.,;:!?)])""",
    # The time on a clock, and the direction of its hands.
    r"\d:\d\d|\bo['\x{2019} ]?\s*clock\b|clock[\s-]*wise\b",
    # Sides by other names.
    r"\bstarboard\b|\bport[\s-]+side\b|\b(?:driver|passenger)['\x{2019}]?s?['\x{2019}]?[\s-]+side\b",
    # Left and right in other senses that also match a phrase above.
    rf"\b(?:lefts|rights)\b|\b{_SIDE}[\s-]+of[\s-]+way\b|\bhand[\s-]in[\s-]hand\b",
    rf"\barm[\s-]in[\s-]arm\b|\b{_SIDE}[\s-]+sides?[\s-]+(?:by|up|out|down)\b",
    rf"\b{_SIDE}[\s-]+(?:hand|foot)[\s-]*prints?\b|\b{_SIDE}[\s-]+half[\s-]+\w+(?:ed|en)\b",
)
"""Captions that are false of a mirrored image, even with the words for sides swapped."""

ENGLISH_COLORS: Patterns = (
    r"\b(?:reds?|redd(?:er|est|ish|ened)|oranges?|orang(?:e?ish|ey?)|yellow(?:s|er|est|ed|ing|ish|y)?)\b",
    r"\b(?:green(?:s|er|est|ery|ish|y)?|blu(?:e|es|er|est|e?ish)|purpl(?:e|es|ish|y)|violets?)\b",
    r"\b(?:pink(?:s|er|est|ish|y)?|brown(?:s|er|est|ed|ing|ish)?|black(?:s|er|est|ened|ish)?)\b",
    r"\b(?:whit(?:e|es|er|est|ened|ish)|gr[ae]y(?:s|er|est|ed|ing|ish)?|beiges?|tan(?:s|ned|nish)?)\b",
    r"\b(?:gold(?:en)?|silver(?:y|ed)?|bronzed?|copper|brass|blond(?:es?|s)?|brunettes?|auburn)\b",
    r"\b(?:redhead(?:s|ed)?|maroon|burgundy|crimson|scarlet|turquoise|teal|cyan|aqua|magenta)\b",
    r"\b(?:fuchsia|lavender|lilac|mauve|indigo|navy|khaki|ivory|cream|peach|coral|salmon|olive)\b",
    r"\b(?:lime|rose|amber|ebony|charcoal|sepia|monochrom(?:e|atic)|rainbows?|neon|pastels?)\b",
    r"colou?r|\bhues?\b|\btint(?:s|ed)?\b",
    r"\b(?:dark(?:s|er|est|ly|ness|en(?:s|ed|ing)?)?|bright(?:er|est|ly|ness|en(?:s|ed|ing)?)?)\b",
    r"\b(?:pal(?:e|er|est)|dim(?:s|mer|ly|med)?|vivid(?:ly)?|vibrant(?:ly)?|faded|light[\s-]skinned)\b",
)
"""Names of colours and brightness, inflected; also fruits and metals with the same name."""

_WORD = r"[\pL\pM\pN_]+"  # RE2's \w and \b are only for a-z


def require_patterns(what: str, patterns: object) -> None:
    """Raises a ValueError with the name `what` unless each pattern is valid in RE2."""
    if not isinstance(patterns, tuple) or not all(isinstance(each, str) for each in patterns):
        raise ValueError(f"{what} must be a tuple of regular expressions; got {patterns!r}.")
    for pattern in patterns:
        try:
            for whole in (
                pattern,
                f"(?:{pattern})",
            ):  # "a)(b" and "\Qa" are valid in only one of them
                _matches("", whole)
        except tf.errors.InvalidArgumentError as err:
            raise ValueError(
                f"{what} must be regular expressions of RE2's syntax; got {pattern!r}."
            ) from err


def require_pairs(what: str, pairs: object) -> None:
    """Raises a ValueError with the name `what` unless it is pairs of words, all different."""
    valid = isinstance(pairs, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_lower_word, pair))
        for pair in pairs
    )
    words = [word for pair in pairs for word in pair] if valid else []  # type: ignore[attr-defined]
    if not valid or len(set(words)) < len(words):
        raise ValueError(
            f"{what} must be a tuple of pairs of words, all different and in lower case; "
            f"got {pairs!r}."
        )


def _is_lower_word(word: object) -> bool:
    return isinstance(word, str) and word == word.lower() and _matches(word, _WORD)


def _matches(text: str, pattern: str) -> bool:
    with tf.init_scope():  # eagerly, even if a stage is made inside a graph
        return bool(tf.strings.regex_full_match(tf.constant(text), pattern))


def mentions(caption: Any, patterns: Patterns) -> Any:
    """Whether any of the patterns matches anywhere in a caption, ignoring case.

    Args:
      caption: string [].
      patterns: Regular expressions (RE2).

    Returns:
      bool [].
    """
    if not patterns:
        return tf.constant(False)
    # \C matches any byte; a dot would stop at the first that is not UTF-8.
    return tf.strings.regex_full_match(caption, rf"(?i)\C*(?:{_any(patterns)})\C*")


def mirror(caption: Any, swap: Swaps, within: Patterns) -> tuple[Any, Any]:
    """Swaps the words for sides in a caption, and checks that it is then true of a mirrored image.

    Args:
      caption: string [].
      swap: Pairs of words.
      within: Regular expressions (RE2) of the phrases in which these words are sides; () means
        everywhere.

    Returns:
      The changed caption, string []; and whether each such word is in a phrase, and in lower case,
      Capitalised or in UPPER CASE, bool [].
    """
    words = tuple(word for pair in swap for word in pair)
    return tf.cond(  # type: ignore[no-any-return]
        mentions(caption, words),
        lambda: _mirror(caption, swap, within),
        lambda: (caption, tf.constant(True)),
    )


# Inlined, this would cost time for captions without such words: a graph visits all its nodes.
@functools.partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
def _mirror(caption: Any, swap: Swaps, within: Patterns) -> tuple[Any, Any]:
    words = tuple(word for pair in swap for word in pair)
    outside = tf.strings.regex_replace(caption, f"(?i){_any(within)}", " ") if within else ""
    forms = "|".join(form for pair in _forms(swap) for form in pair)
    other_case = tf.strings.regex_replace(_marked(caption), f"\1(?:{forms})\1", "")
    invalid = mentions(tf.stack([_marked(outside), other_case]), (f"\1(?:{'|'.join(words)})\1",))
    return swap_words(caption, swap), ~tf.reduce_any(invalid)


def swap_words(caption: Any, swap: Swaps) -> Any:
    """Replaces each word of a pair by the other, in lower case, Capitalised and in UPPER CASE.

    Swapping twice gives any text back, valid UTF-8 or not.

    Args:
      caption: string [].
      swap: Pairs of words in lower case.

    Returns:
      string [].
    """
    # Not with tensorflow_text.regex_split: it drops what follows a U+0000.
    marked = _marked(caption)
    for one, other in _forms(swap):
        marked = tf.strings.regex_replace(marked, f"\1{one}\1", f"\2{other}\2")
        marked = tf.strings.regex_replace(marked, f"\1{other}\1", f"\2{one}\2")
    return tf.strings.regex_replace(marked, f"[\1\2]({_WORD})[\1\2]", r"\1")


def _marked(text: Any) -> Any:
    """Puts a U+0001 directly before and after each word, whatever else the text holds."""
    return tf.strings.regex_replace(text, f"({_WORD})", "\1\\1\1")


def _forms(swap: Swaps) -> Iterator[tuple[str, str]]:
    """The pairs in each case; no form twice, since swapping twice must give a text back."""
    taken: set[str] = set()
    for case in (str.lower, str.capitalize, str.upper):
        for one, other in swap:
            pair = case(one), case(other)
            if pair[0] != pair[1] and taken.isdisjoint(pair):
                taken.update(pair)
                yield pair


def _any(patterns: Patterns) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)
