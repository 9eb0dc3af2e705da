"""Strings that are hard for tokenizers, for tests against reference tokenizers."""

# ruff: noqa: RUF001

import random

_WORDS = (
    "a dog Photographs ELEPHANTS iPhone supercalifragilistic é café naïve straße ÑANDÚ ﬁre ÿ Āā"
)
_CONTRACTIONS = "don't I'LL they've we're o'clock 'tis dog's IT'S 'ſ ''s 'd' ’s 'Re"
_NUMBERS = "1 23 2024 3.14 1,000 ² ½ Ⅷ ٣ १२ ５ 𝟗"
_MARKS = r". ... !?! -- ($5) #1 @you a/b 50% _ \ “so” … ™ ▁"
_SCRIPTS = "犬 日本語 東京タワー ไทย हिन्दी 한국어 한 Привет ΣΊΣΥΦΟΣ שלום سلام cafe\u0301 İstanbul ŝ"
_EMOJI = "🐶 👩‍🚀 🇯🇵 👍🏽 ❤️ 🏴\U000e0067\U000e0062\U000e007f \ufffd \ufeff \u200b"
_ENTITIES = "&amp; &lt;b&gt; &amp;lt; &#39;s &eacute; &nbsp; &bogus; <br/> </w>"
_TOKENS = (
    "<|startoftext|> <|endoftext|> <|EndOfText|> a<|endoftext|>b .<|endoftext|> <s> </s> <pad>"
)
_KINDS = (_WORDS, _CONTRACTIONS, _NUMBERS, _MARKS, _SCRIPTS, _EMOJI, _ENTITIES, _TOKENS)
_PARTS = tuple(part for kind in _KINDS for part in kind.split(" "))
_SPACES = (
    "  ",
    "   ",
    "\n",
    "\n\n",
    " \n ",
    "\t",
    "\t ",
    "\r\n",
    "\x0b",
    "\x85",
    "\xa0",
    " \u3000",
)
_CONTROLS = ("\0", "\x01", "\x1c", "\x1f", "\x7f", "\x80", "\x9f", "\u200d", "\u0301")
_LATIN_MARKS = (
    "cafe\u0301 CAFE\u0301 nai\u0308ve A\u030angstro\u0308m Stra\u00dfe\u0301 n\u0303 "
    "Pho\u031b\u0309 Tie\u0302\u0301ng Vie\u0323\u0302t o\u031b\u0301 u\u0301\u031b a\u0302\u0323 "
    "q\u0307\u0323 q\u0323\u0307 H\u0331 J\u030c T\u0308 W\u030a I\u0307 \u0130\u0331 e\u0301\u0301"
    " \u00e9\u0323 x\u0338 =\u0338 \u212b"
)
_OTHER_MARKS = (
    "\u1112\u1161\u11ab\u1100\u1173\u11af \u1112\u1161 \u03aa\u0301 \u2126 \u304b\u3099 "
    "\u30cf\u309a \u0915\u093c \u0438\u0306 \u0418\u0306 \u0344 \u05e9\u05c1\u05bc \u0627\u0653"
)


def generated(number: int) -> list[str]:
    """Texts of up to a dozen parts side by side; between most of them is a space."""
    chance = random.Random(0)
    gaps = (" ", "", *_SPACES, *_CONTROLS)
    weights = (60, 20, *[15 / len(_SPACES)] * len(_SPACES), *[5 / len(_CONTROLS)] * len(_CONTROLS))

    def text() -> str:
        parts = chance.choices(_PARTS, k=chance.randrange(13))
        between = chance.choices(gaps, weights, k=len(parts))
        return "".join(part + gap for part, gap in zip(parts, between, strict=True))

    return [text() for _ in range(number)]


def decomposed(number: int) -> list[str]:
    """Texts of letters and marks that NFC joins or puts in order, between plain words."""
    chance = random.Random(1)
    parts = f"{_LATIN_MARKS} {_OTHER_MARKS} a dog Photo, x 1 \u65e5\u672c".split(" ")
    some = [chance.choices(parts, k=chance.randrange(1, 9)) for _ in range(number)]
    return [chance.choice([" ", " ", ""]).join(chosen) for chosen in some]
