"""Penn Treebank tokens of captions, as the COCO evaluation server counts them."""

import functools
import re
from collections.abc import Sequence

_DROPPED = re.compile(
    r"[.?!,:;'\"`\u2018\u2019\u2039\u203a\u201c\u201d\xab\xbb]|\.\.\.|\u2026|-{1,4}|[\u2011-\u2015]|"
    "&(?:quot|apos|nbsp);"
)
"""Punctuation that does not count. Other signs do, e.g. brackets, `&` and `!!`."""

_WRITTEN = {
    "cannot": "can not",
    "gonna": "gon na",
    "wanna": "wan na",
    "gotta": "got ta",
    "gimme": "gim me",
    "lemme": "lem me",
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "£": "#",
    "€": "$",
    "¢": "cents",
    "¼": "1/4",
    "½": "1/2",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
}
"""Words and signs that become other tokens."""

_SENTENCE_STARTS = (
    "A|About|According|Additionally|After|An|As|At|But|He|Her|Here|However|If|In|It|Last|Many|More|"
    "Now|Once|One|Other|Our|She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|"
    "What|When|While|Yet|You"
)

_ABBREVIATIONS = (
    # titles, ranks and names
    "mr|mrs|ms|mme|mlle|messrs|dr|drs|profs?|rev|hon|esq|jr|sr|st|ste|msgr|adm|brig|capt|cmdr|col|"
    "comdr|cpl|ens|gen|govs?|insp|lieut|lt|maj|pfc|pres|pvt|reps?|sens?|sfc|sgt|spc|supts?|treas|"
    "attys?|alex|jos|wm|"
    # firms and places
    "assn|assoc|asst|ave|bhd|bldg|blvd|bros|cie|corp|cos?|dept|elec|ft|inc|intl|invt|ltd|mfg|mt|"
    "mtg|natl|plc|pp?tes?|pp?tys?|rd|rt|sq|univ|"
    # states; those that are also words need a capital
    "ala?|ariz|calif|colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mont?|neb|nev|okla|penn|"
    "tenn|va|vt|wisc|(?-i:(?=[A-Z])(?i:az|la|pa|ark|del|ill|ore|mass|miss|wash))|"
    # months and days, unless they are also words, and others
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri|"
    r"adj|adv|cf|det|est|etc|ext|ph\.d|ph|seq|vs"
)

_LETTER = (
    r"(?:[^\W\d_\xb2\xb3\xb9\xbc-\xbe\u2150-\u2189]|[\xad\u0300-\u036f\u0900-\u0903\u093a-\u094f])"
)
_SIGN = rf"(?:{_LETTER}|\d)"
_QUOTE = "['\u2019]"
_NO_NOT = rf"(?!(?<!n)n{_QUOTE}t)"
_ELISION = rf"(?:(?:[dlno]|(?-i:[A-HJ-XZ])|qu|jusqu|lorsqu){_QUOTE}(?={_LETTER}{{2}}))"
_PART = rf"{_ELISION}?{_SIGN}+"

_TOKEN = [  # the longest match counts; of equally long ones, the first
    re.compile(rule, re.IGNORECASE)
    for rule in (
        rf"(?:{_NO_NOT}{_SIGN})+",
        rf"{_NO_NOT}{_LETTER}(?:{_NO_NOT}{_SIGN})*(?:[.!?]{_LETTER}{_SIGN}*)+",
        # apostrophes: don't, it's, 'em, '90s, d'art, ne'er, ol'
        rf"n{_QUOTE}t",
        rf"{_QUOTE}(?:[smd]|ll|re|ve)(?!{_SIGN})",
        rf"{_QUOTE}t(?=(?:is|was)(?!{_SIGN}))",
        rf"{_QUOTE}(?:em|till?|cause|n{_QUOTE}|n(?!{_SIGN}))",
        rf"(?<!\d){_QUOTE}\d\d(?:s(?!{_SIGN})|(?!\w|{_QUOTE}))",
        rf"{_ELISION}{_SIGN}+",
        rf"(?:e|{_LETTER}+[aeiouy]){_QUOTE}[aeiou]{_LETTER}*|c{_QUOTE}(?:est|mon)",
        rf"(?:[djl]|ol|dunkin|somethin){_QUOTE}|y{_QUOTE}(?={_LETTER})",
        # words with hyphens, slashes or underscores
        rf"{_PART}(?:[-_/]{_PART})+|{_PART}(?:[.,]{_SIGN}+)+-{_PART}(?:[-_/]{_PART})*",
        rf"(?:(?:{_LETTER}\.)+|(?:{_ABBREVIATIONS})\.)(?:-{_PART})+",
        # periods that belong to a word; a single letter may end a sentence
        rf"(?:{_ABBREVIATIONS})\.",
        rf"{_LETTER}{_SIGN}*\.(?=[,;:])",
        r"(?:art|ca|figs?|nos?|op|pp|prop)\.(?= ?\d)",
        rf"[a-z]\.(?! (?-i:{_SENTENCE_STARTS}|{_SENTENCE_STARTS.upper()})$)",
        r"[a-z](?:\.[a-z])+\.",
        # numbers, dates, times, and fractions
        r"[-+]?(?:\d*(?:[.,:]\d+)+|\d+)",
        r"(?:\d{1,4}\xa0)?\d{1,4}/\d{1,4}(?:/\d{2,4})?",
        # addresses, tags, smileys, and names such as A&W
        r"(?:https?://)?[\w-]+(?:\.[\w-]+)*\.(?:com|edu|net|org)(?:/\S*[^\s.,!?;:)\"'])?",
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*|@[a-z_]\w*|#[a-z]+",
        r"&(?:amp|lt|gt|quot|apos|nbsp);|</?[a-z][^<>\s]*>|c\+\+|[cf]#",
        rf"[:;=]['-]?(?:[()]|[dp](?!{_SIGN}))",
        r"(?-i:[A-Z]+(?:&[A-Z]+)+)",
        # signs
        r"[!?]+|\.\.\.|-{2,}|_+|\*+|[#@]+|\S",
    )
]
_FRACTION = re.compile(r"(?<![\d/])(\d{1,4}) (?=\d{1,4}/\d)")
_SPACE = re.compile(r"[\s\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff\U00010000-\U0010ffff]")
"""White space, and what has no token."""


def ptb_tokens(captions: Sequence[str]) -> list[str]:
    """Splits captions into lower-case tokens without punctuation, as coco-caption does.

    Args:
      captions: The captions in the order of the file: whether a single letter at the end of one
        keeps its period depends on the first word of the next.

    Returns:
      The tokens of each caption, joined by spaces. A mixed fraction, "1 1/2", is one token with a
      no-break space.

    Source: the Penn Treebank's conventions; behaves like Stanford's PTBTokenizer 3.4.1 with
    `-preserveLines -lowerCase` and the list of punctuation of coco-caption, which need Java. Equal
    on all 25,014 captions of COCO's val2017. Known differences are phone numbers and smileys.
    """
    results, after = [], ""
    for caption in reversed(captions):
        tokens = []
        for chunk in reversed(_chunks(caption)):
            tokens.append(_tokens(chunk, after if chunk.endswith(".") else ""))
            after = chunk
        results.append(" ".join(filter(None, reversed(tokens))))
    return results[::-1]


def _chunks(caption: str) -> list[str]:
    """The text between spaces; a mixed fraction is one chunk."""
    text = _FRACTION.sub("\\1\xa0", _SPACE.sub(" ", caption))
    return list(filter(None, text.split(" ")))


@functools.lru_cache(maxsize=2**17)
def _tokens(chunk: str, after: str) -> str:
    """The tokens of a chunk that is followed by another one."""
    text, place, tokens = f"{chunk} {after}", 0, []
    while place < len(chunk):
        found = [match.group() for rule in _TOKEN if (match := rule.match(text, place))]
        longest = max(found, key=len)
        place += len(longest)
        tokens.append(_written(longest.lower()))
    return " ".join(token for token in tokens if not _DROPPED.fullmatch(token))


def _written(token: str) -> str:
    if token in _WRITTEN:
        return _WRITTEN[token]
    if token.startswith("\u2019") or token == "n\u2019t":  # words keep this apostrophe
        return token.replace("\u2019", "'")
    return token.replace("\xad", "").replace("(", "-lrb-").replace(")", "-rrb-")
