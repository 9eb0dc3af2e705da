"""Clean, against `unicodedata`."""

# ruff: noqa: RUF001  (letters of other scripts are what is tested)

import pickle
import re
import unicodedata
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdata.stages.text import Clean

TABLE: dict[str, tuple[str | bytes, str]] = {
    "upper": ("A Red BOAT", "a red boat"),
    "lower": ("a red boat", "a red boat"),
    "latin": ("ÉCOLE ÇA ÅNGSTRÖM ŁÓDŹ", "école ça ångström łódź"),
    "greek": ("ΟΔΥΣΣΕΥΣ ΚΑΙ ΣΣ", "οδυσσευς και σς"),
    "cyrillic": ("КРАСНАЯ ЛОДКА Ё", "красная лодка ё"),
    "armenian": ("ԿԱՐՄԻՐ", "կարմիր"),
    "no case": ("赤い船 קטן สวย", "赤い船 קטן สวย"),
    "beyond the BMP": ("\U00010400", "\U00010428"),
    "dotted I": ("İ", "i\u0307"),
    "sharp s": ("Straße ẞ", "straße ß"),
    "NFD": ("Cafe\u0301 n\u0303", "café ñ"),
    "NFD, two marks": ("o\u0302\u0301", "ố"),
    "marks out of order": ("q\u0307\u0323", "q\u0323\u0307"),
    "singletons": ("\u212b\u2126\u212a", "åωk"),
    "ligature stays": ("ﬁne", "ﬁne"),
    "many spaces": ("a   b", "a b"),
    "ends": ("  a b ", "a b"),
    "tabs and lines": ("a\tb\nc\r\nd\ve\ff", "a b c d e f"),
    "no-break": ("a\u00a0\u202fb", "a b"),
    "ideographic": ("赤い\u3000船\u3000", "赤い 船"),
    "line and paragraph": ("a\u2028b\u2029\u1680\u2003c", "a b c"),
    "controls": ("\x01a\x1bb\x7f\x85c\x9f", "a b c"),
    "NUL": ("A\0BC\0", "a bc"),
    "only spaces": (" \t\u3000\u00a0", ""),
    "empty": ("", ""),
    "zero width stays": ("a\u200bb\ufeff", "a\u200bb\ufeff"),
    "punctuation and markup": ("<b>Don't!</b> “Ok” 5€", "<b>don't!</b> “ok” 5€"),
    "emoji": ("A 👩‍🚀 👍🏽 ❤️", "a 👩‍🚀 👍🏽 ❤️"),
    "invalid: stray byte": (b"A\xffB", "a\ufffdb"),
    "invalid: Latin-1": ("Café AU".encode("latin-1"), "caf\ufffd au"),
    "invalid: cut short": ("é".encode()[:1], "\ufffd"),
    "invalid: overlong NUL": (b"a\xc0\x80b", "a\ufffd\ufffdb"),
    "replacement stays": ("a\ufffd", "a\ufffd"),
}


def clean(texts: Any, **arguments: Any) -> list[str]:
    captions = Clean(**arguments)({"caption": tf.constant(texts)})["caption"]
    return [text.decode() for text in captions.numpy()]


@pytest.fixture(scope="module")
def in_graph() -> list[str]:
    """The table one by one, as `tf.data` does it."""
    captions = tf.constant([given for given, _ in TABLE.values()])
    ds = tf.data.Dataset.from_tensor_slices({"caption": captions}).map(Clean())
    return [example["caption"].numpy().decode() for example in ds]


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str, in_graph: list[str]) -> None:
    text, expected = TABLE[name]
    assert clean([text]) == [expected]
    assert in_graph[list(TABLE).index(name)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A Red\u00a0BOAT", "A Red BOAT"), ("E\u0301\u0000Σ", "É Σ")],
    ids=["spaces", "NFC"],
)
def test_lower_is_a_choice(text: str, expected: str) -> None:
    assert clean([text], lower=False) == [expected]


# Characters that Unicode 3.2 had: ICU's, RE2's and Python's versions of Unicode agree about them,
# but not about letters that were added since the oldest of the three.
OLD = st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"]).filter(
    lambda character: unicodedata.ucd_3_2_0.category(character) != "Cn"
)
ODD = st.sampled_from(
    " \t\n\r\v\f\0\x1f\x7f\x85\xa0\u1680\u2003\u2028\u2029\u3000\u200b\ufeff"
    "\u0300\u0301\u0307\u0323\u0345İIıſßΣσςÅéêK\u1e9eﬁ한ᄒ\u1161\u11ab"
)
TEXTS = st.lists(st.text(OLD | ODD, max_size=20), min_size=1, max_size=20)


def oracle(text: str, lower: bool) -> str:
    spaced = "".join(
        " " if unicodedata.category(c)[0] == "Z" or unicodedata.category(c) == "Cc" else c
        for c in text
    )
    joined = re.sub(" +", " ", spaced).strip(" ")
    return unicodedata.normalize("NFC", joined.lower() if lower else joined)


@settings(deadline=None, max_examples=300)
@given(texts=TEXTS, lower=st.booleans())
@example(texts=["ΑΣ\0Β", "Σ\u0301", "İ\u0307"], lower=True)
def test_equals_unicodedata_and_is_idempotent(texts: list[str], lower: bool) -> None:
    cleaned = clean(texts, lower=lower)
    assert cleaned == [oracle(text, lower) for text in texts]
    assert clean(cleaned, lower=lower) == cleaned


@settings(deadline=None, max_examples=100)
@given(contents=st.lists(st.binary(max_size=20), min_size=1, max_size=20), lower=st.booleans())
@example(contents=[b"A\xff"], lower=False)
def test_any_bytes_become_utf8_once(contents: list[bytes], lower: bool) -> None:
    cleaned = clean(contents, lower=lower)
    assert clean(cleaned, lower=lower) == cleaned
    assert [text.strip(" ") for text in cleaned] == cleaned


@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (1, 2, 3), (0,), (0, 2)], ids=str)
def test_any_leading_shape(shape: tuple[int, ...]) -> None:
    texts = np.array(["A", " b", "C  d", "", "É", "f\n"], object)
    expected = np.array([b"a", b"b", b"c d", b"", "é".encode(), b"f"], object)
    count = int(np.prod(shape))
    given = tf.constant(texts[:count].reshape(shape), tf.string)
    eager = Clean()({"caption": given})["caption"]
    ds = tf.data.Dataset.from_tensors({"caption": given}).map(Clean())
    assert ds.element_spec["caption"] == tf.TensorSpec(shape, tf.string)
    for got in (eager, next(iter(ds))["caption"]):
        np.testing.assert_array_equal(got, expected[:count].reshape(shape))


def test_touches_nothing_else() -> None:
    example = {"caption": tf.constant("A"), "row": tf.constant(7)}
    before = dict(example)
    cleaned = Clean()(example)
    assert cleaned["row"] is before["row"]
    assert example.keys() == before.keys()
    assert all(example[name] is value for name, value in before.items())


def test_is_a_value() -> None:
    assert repr(Clean()) == "Clean(lower=True)"
    assert Clean() == pickle.loads(pickle.dumps(Clean(lower=True)))
    assert len({Clean(), Clean(lower=True), Clean(lower=False)}) == 2
