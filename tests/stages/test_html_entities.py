"""Character references, against Python's `html.unescape`."""

import html
import html.entities
import itertools

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.stages.html_entities import on_some, unescape

NAMES = list(html.entities.html5)
NUMBERS = [
    *range(0x130),
    *range(0xD7FE, 0xD802),
    *range(0xDFFE, 0xE002),
    *range(0xFDCE, 0xFDF2),
    *(plane * 0x10000 + low for plane in range(17) for low in (0xFFFD, 0xFFFE, 0xFFFF, 0x10000)),
    9_999_999,
    10_000_000,
    99_999_999,
    2**32 + 65,
    2**64 + 65,
    10**30,
]
ENDS = ["", ";", "z", " ;"]
CASES = {
    "names": [f"é&{name}{end}" for name in NAMES for end in ENDS],
    "other names": [f"&{other}" for n in NAMES for other in (n[:-1], n[1:], n.lower(), n.upper())],
    "two names": [f"&{a}&{b}" for a, b in itertools.pairwise(NAMES)],
    "decimals": [f"&#{zeros}{n}{end}" for n in NUMBERS for zeros in ("", "00") for end in ENDS],
    "hexadecimals": [
        f"&#{x}{n:{case}}{end}" for n in NUMBERS for x in ("x", "X0000000000") for case in "xX"
        for end in ENDS
    ],
    "nearly": [
        "", "&", "&&", "&;", "&#", "&#;", "&#x", "&#x;", "&#xg;", "&# 65;", "&#-1;", "& amp;",
        "&notit;", "&notin", "&no;", "&unknown;", "&ampamp;", "&AMP", "&aMP;", "&lt&gt", "&lt;&gt;",
        "&amp;amp;amp;", "\0&lt;\0", "&lt\0", f"&not{'b' * 40};", f"&{'b' * 40};", "&#65é",
        "&\n#65;",
    ],
}  # fmt: skip


def unescaped(texts: list[str]) -> list[str]:
    return [text.decode() for text in unescape(tf.constant(texts, tf.string)).numpy()]


@pytest.mark.parametrize("kind", CASES)
def test_equals_python(kind: str) -> None:
    assert unescaped(CASES[kind]) == [html.unescape(text) for text in CASES[kind]]


PARTS = st.sampled_from(
    ["&", "#", "x", "X", ";", "&#", "&#x", "0", "1", "80", "ffff", "a", "é", "\0", "\n", "<", " "]
) | st.sampled_from(NAMES)
TEXTS = st.lists(st.lists(PARTS, max_size=12).map("".join), max_size=20)


@settings(max_examples=30)
@given(texts=TEXTS)
def test_equals_python_on_any_text(texts: list[str]) -> None:
    assert unescaped(texts) == [html.unescape(text) for text in texts]


def test_in_graph() -> None:
    texts = [text for cases in CASES.values() for text in cases[::50]]
    ds = tf.data.Dataset.from_tensor_slices(texts).batch(7).map(unescape)
    got = [text.decode() for batch in ds for text in batch.numpy()]
    assert got == [html.unescape(text) for text in texts]


def test_changes_only_some() -> None:
    text = tf.constant(["a", "b", "c"])
    changed = on_some(text, tf.constant([True, False, True]), tf.strings.upper)
    assert changed.numpy().tolist() == [b"A", b"b", b"C"]
    asked: list[object] = []
    assert on_some(text, tf.zeros(3, tf.bool), asked.append).numpy().tolist() == [b"a", b"b", b"c"]
    assert not asked
