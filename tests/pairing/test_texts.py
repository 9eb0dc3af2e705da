"""Bytes of caption files to text: what is decoded, what is refused, where captions end."""

import codecs
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdata.pairing.texts import Lines, TextDecoder, explain, split_captions

TEXT = "caf\u00e9 \U0001f600"
MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
REPLACED = "bytes that do not decode became U+FFFD"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (TEXT.encode(), TEXT),
        (codecs.BOM_UTF8 + TEXT.encode(), TEXT),
        (codecs.BOM_UTF8, ""),
        (codecs.BOM_UTF8 * 2 + b"a", "\ufeffa"),
        (b"1\r\n2\r3\n\r\n\r", "1\n2\n3\n\n\n"),
        ("1\u20282\x0b3\x1c\x85".encode(), "1\u20282\x0b3\x1c\x85"),
    ],
)
@pytest.mark.parametrize(
    "decoder", [TextDecoder(), TextDecoder("latin-1"), TextDecoder("utf-16", "replace")]
)
def test_utf8_is_read_as_it_is(decoder: TextDecoder, content: bytes, text: str) -> None:
    assert decoder.decode(content) == (text, None)


@pytest.mark.parametrize(("name", "mark"), MARKS.items())
@pytest.mark.parametrize("decoder", [TextDecoder(), TextDecoder("latin-1")])
def test_mark_says_the_encoding(decoder: TextDecoder, name: str, mark: bytes) -> None:
    content = mark + f"{TEXT}\r\nb".encode(name)
    assert decoder.decode(content) == (f"{TEXT}\nb", f"read as {name}, as its byte order mark says")


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"caf\xe9 b", 3),
        (codecs.BOM_UTF8 + b"caf\xe9", 6),
        (b"a" * 9999 + b"\xe2\x82", 9999),
        (b"\xed\xa0\x80", 0),
        (b"\xc0\xaf", 0),
        (b"a\0b", 1),
        (codecs.BOM_UTF8 + b"a\0b", 4),
        ("caf\u00e9\0".encode(), 5),
        ("ab".encode("utf-16-le"), 1),
        ("ab".encode("utf-16-be"), 0),
        ("ab".encode("utf-32-be"), 0),
        (codecs.BOM_UTF16_LE + b"a\0b", 4),
        (codecs.BOM_UTF16_LE + "ab\0".encode("utf-16-le"), 6),
        (codecs.BOM_UTF16_BE + "ab\0".encode("utf-16-be"), 6),
        (codecs.BOM_UTF16_LE + b"a\0\x00\xd8b\0", 4),
        (codecs.BOM_UTF32_LE + b"\0\0\x11\0", 4),
    ],
    ids=repr,
)
def test_refused_where_it_fails(content: bytes, offset: int) -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        TextDecoder().decode(content)
    assert explain(caught.value) == f"byte 0x{content[offset]:02x} at offset {offset:,}"
    assert caught.value.object == content


@pytest.mark.parametrize(
    ("encoding", "errors", "content", "expected"),
    [
        ("latin-1", "strict", b"caf\xe9\r\nb", ("caf\u00e9\nb", "read as latin-1")),
        ("cp1252", "strict", b"\x93a\x94", ("\u201ca\u201d", "read as cp1252")),
        ("utf-16-le", "strict", "ab".encode("utf-16-le"), ("ab", "read as utf-16-le")),
        ("utf-16", "strict", b"a\0\xe9\0", ("a\u00e9", "read as utf-16")),
        ("shift_jis", "strict", "\u732b".encode("shift_jis"), ("\u732b", "read as shift_jis")),
        (None, "replace", b"caf\xe9 b", ("caf\ufffd b", REPLACED)),
        (None, "replace", codecs.BOM_UTF8 + b"\xe9b", ("\ufffdb", REPLACED)),
        (None, "replace", b"a\0b", ("a\ufffdb", REPLACED)),
        (None, "replace", codecs.BOM_UTF16_LE + b"a\0b", ("a\ufffd", REPLACED)),
        ("ascii", "replace", b"caf\xe9", ("caf\ufffd", REPLACED)),
        ("latin-1", "replace", b"\xe9\0", ("\u00e9\ufffd", REPLACED)),
        ("cp1252", "replace", b"\x81\xe9", ("\ufffd\u00e9", REPLACED)),
    ],
)
def test_coerced_as_requested(
    encoding: str | None, errors: Any, content: bytes, expected: tuple[str, str]
) -> None:
    assert TextDecoder(encoding, errors).decode(content) == expected


@pytest.mark.parametrize(
    ("encoding", "content"), [("ascii", b"\xe9"), ("cp1252", b"\x81"), ("latin-1", b"\xe9\0")]
)
def test_text_in_another_encoding_is_refused(encoding: str, content: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        TextDecoder(encoding).decode(content)


@pytest.mark.parametrize(
    "encoding",
    [
        *("rot13", "hex", "zip", "bz2", "base64", "uu", "quopri", "undefined", "idna", "utf-9"),
        *("", " ", "a\0b", "\ud800", 8, b"utf-8"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_no_encoding_of_text(encoding: Any, errors: Any) -> None:
    with pytest.raises(ValueError, match=r"encoding=\.\.\. must be the name of a text encoding"):
        TextDecoder(encoding, errors)


@pytest.mark.parametrize("errors", ["ignore", "surrogateescape", "", None, "Strict"])
def test_no_way_to_treat_errors(errors: Any) -> None:
    with pytest.raises(ValueError, match=r'encoding_errors=\.\.\. must be "strict" or "replace"'):
        TextDecoder(None, errors)


# Text, lines="auto", lines="each", lines="one"; None for `lines` that change nothing.

PROSE = "A cat sat. It slept.\n\nA dog came."
SPLIT: list[tuple[str, list[str], list[str], list[str]]] = [
    ("", [], [], []),
    (" \n\t\u2003\n", [], [], []),
    ("one", ["one"], ["one"], ["one"]),
    (" \none\n\n", ["one"], ["one"], ["one"]),
    ("A. B. C.", ["A. B. C."], ["A. B. C."], ["A. B. C."]),
    ("1\n 2 \n\n\u00a03", ["1", "2", "3"], ["1", "2", "3"], ["1\n 2 \n\n\u00a03"]),
    ("A. B.\nC. D.", ["A. B.", "C. D."], ["A. B.", "C. D."], ["A. B.\nC. D."]),
    (PROSE, [PROSE], ["A cat sat. It slept.", "A dog came."], [PROSE]),
    ("a\n \t\nb. c", ["a\n \t\nb. c"], ["a", "b. c"], ["a\n \t\nb. c"]),
    ("A cat.\n\nA dog.", ["A cat.", "A dog."], ["A cat.", "A dog."], ["A cat.\n\nA dog."]),
    ("v2.0\n\nv2.1", ["v2.0", "v2.1"], ["v2.0", "v2.1"], ["v2.0\n\nv2.1"]),
    ('"Hi!" he\n\nsaid', ['"Hi!" he\n\nsaid'], ['"Hi!" he', "said"], ['"Hi!" he\n\nsaid']),
    ("猫。犬。\n\n鳥。", ["猫。犬。\n\n鳥。"], ["猫。犬。", "鳥。"], ["猫。犬。\n\n鳥。"]),
    ("猫。\n\n鳥。", ["猫。", "鳥。"], ["猫。", "鳥。"], ["猫。\n\n鳥。"]),
]


@pytest.mark.parametrize(("text", "auto", "each", "one"), SPLIT, ids=[repr(c[0]) for c in SPLIT])
def test_split(text: str, auto: list[str], each: list[str], one: list[str]) -> None:
    several = "\n" in text.strip()
    assert split_captions(text, "each") == (each, "each" if several else None)
    assert split_captions(text, "one") == (one, "one" if several else None)
    how = ("one" if auto == one else "each") if several else None
    assert split_captions(text, "auto") == (auto, how)


# Properties.

encodings = st.sampled_from([None, "latin-1", "cp1252", "ascii", "utf-16", "utf-8-sig", "gb18030"])
decoders = st.builds(TextDecoder, encodings, st.sampled_from(["strict", "replace"]))


@given(decoders, st.text(st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"])))
def test_valid_utf8_is_unchanged(decoder: TextDecoder, text: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        assert decoder.decode(text.replace("\n", end).encode()) == (text, None)


@given(decoders, st.sampled_from([b"", codecs.BOM_UTF8, *MARKS.values()]), st.binary(max_size=40))
@example(TextDecoder("utf-16", "replace"), b"\xff\xfe", b"\0\xd8")
def test_any_bytes(decoder: TextDecoder, mark: bytes, content: bytes) -> None:
    try:
        text, note = decoder.decode(mark + content)
    except UnicodeDecodeError as err:
        failure: UnicodeDecodeError | None = err
    else:
        failure = None
    if failure is not None:
        assert decoder.errors == "strict"
        assert failure.object == mark + content
        assert explain(failure).startswith("byte 0x")
        return
    assert not {"\0", "\r"} & set(text)
    if note is None:
        plain = (mark + content).decode("utf-8").removeprefix("\ufeff")
        assert text == plain.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text("ab. \n\t!\u3002'\u2003"), st.sampled_from(["auto", "each", "one"]))
def test_no_word_is_lost(text: str, lines: Lines) -> None:
    captions, how = split_captions(text, lines)
    assert "".join("".join(captions).split()) == "".join(text.split())
    assert all(caption == caption.strip() != "" for caption in captions)
    assert (how is None) == ("\n" not in text.strip())
    assert how == "each" or len(captions) <= 1
