"""Damaged and wrong files of tokenizers: every loader raises a clear error."""

import gzip
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from mmdata.tokenizers import BytePair, Character, ClipBpe, SentencePiece, Word, WordPiece
from mmdata.tokenizers.bpe_merges import ALPHABET
from mmdata.tokenizers.byte_pair import SPECIAL_TOKENS
from mmdata.tokenizers.vocabulary_files import LARGEST

HEAD = b"[PAD]\n[UNK]\n[START]\n[END]\n"
TOKENS = [*SPECIAL_TOKENS, *ALPHABET.values(), "ab"]
JSON = json.dumps({token: place for place, token in enumerate(TOKENS)}, ensure_ascii=False).encode()
MERGES = b"#version: 0.2\na b\n"

KINDS: dict[str, tuple[Any, str]] = {
    "word": (Word, "vocab.txt"),
    "wordpiece": (WordPiece, "vocab.txt"),
    "character": (Character, "vocab.txt"),
    "clip": (ClipBpe, "merges.txt"),
    "bytepair, vocabulary": (BytePair, "vocab.json"),
    "bytepair, merges": (BytePair, "merges.txt"),
    "sentencepiece": (SentencePiece, "some.model"),
}
LISTS = ("word", "wordpiece", "character")
VOCABULARY = ("bytepair, vocabulary",)
BOTH_MERGES = ("clip", "bytepair, merges")

DAMAGES: dict[str, tuple[tuple[str, ...], bytes, str]] = {
    "nothing in it": (tuple(KINDS), b"", "must|not JSON"),
    "binary": (tuple(KINDS), bytes(range(255, 127, -1)), "must|can't decode|not JSON"),
    "packed, cut": (BOTH_MERGES, gzip.compress(MERGES, mtime=0)[:-9], "Compressed file ended"),
    "packed, broken": (
        BOTH_MERGES,
        gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9,
        "invalid block type",
    ),
    "packed, wrong sum": (
        ("clip",),
        gzip.compress(b"a b\n", mtime=0)[:-5] + b"12345",
        "CRC check failed",
    ),
    "not UTF-8": (LISTS, HEAD + b"a\xff\n", "can't decode byte 0xff"),
    "an empty token": (LISTS, HEAD + b"a\n\nb\n", r"no empty token.*vocabulary\[5\]"),
    "a token twice": (LISTS, HEAD + b"a\nb\na\n", r"each token once; got duplicates of \['a'\]"),
    "NUL": (("wordpiece",), HEAD + b"a\nb\0c\n", r"no U\+0000"),
    "only punctuation": (("wordpiece",), HEAD + b".,\n", "a token that text can become"),
    "an encoded surrogate": (LISTS, HEAD + b"\xed\xa0\x80\n", "can't decode byte 0xed"),
    "nested lists": (VOCABULARY, b"[" * 100_000, "nested too deeply"),
    "nested dicts": (VOCABULARY, b'{"a":' * 100_000, "nested too deeply"),
    "another encoding": (VOCABULARY, JSON.decode().encode("utf-16")[:-1], "not JSON"),
    "half of JSON": (VOCABULARY, JSON[:-9], ":1: not JSON"),
    "a key twice": (VOCABULARY, JSON[:-1] + b', "ab": 3}', r"once; got duplicates of \['ab'\]"),
    "a lone surrogate": (VOCABULARY, JSON[:-1] + rb', "<\ud800>": 260}', r"'<\\ud800>'"),
    "an empty key": (VOCABULARY, JSON[:-1] + b', "": 260}', r"special tokens; got \[''\]"),
    "NUL in a key": (VOCABULARY, JSON[:-1] + rb', "<\u0000>": 260}', r"got \['<\\x00>'\]"),
    "a huge number": (VOCABULARY, b'{"a": ' + b"9" * 5000 + b"}", "not a vocabulary"),
    "infinity": (VOCABULARY, b'{"a": 1e999}', "an id, from 0 without gaps"),
    "no number": (VOCABULARY, b'{"a": true}', "an id, from 0 without gaps"),
    "no dict": (VOCABULARY, b"3", "an id, from 0 without gaps"),
    "too many merges": (
        ("bytepair, merges",),
        MERGES + b"c d\ne f\n",
        r"\['cd', 'ef'\] are missing",
    ),
    "a merge twice": (BOTH_MERGES, MERGES + b"a b\n", r":3: .*makes 'ab', which exists already"),
    "no merge": (BOTH_MERGES, MERGES + b"a b c\n", r":3: a merge must be two tokens"),
    "a blank line": (BOTH_MERGES, MERGES + b"\n\n", r":3: a merge must be two tokens"),
    "a long line": (BOTH_MERGES, b"a" * 10_000, r":1: .*got 'a{80}'\.$"),
    "an unknown part": (BOTH_MERGES, b"a b\na \xe6\xbc\xa2\n", r":2: .*needs '漢'"),
}
CASES = [(kind, damage) for damage, (kinds, _, _) in DAMAGES.items() for kind in kinds]


def written(kind: str, content: bytes, folder: pathlib.Path) -> tuple[Any, pathlib.Path]:
    """A loader, with the path that it takes, and the file that holds `content`."""
    loader, name = KINDS[kind]
    if loader is BytePair:
        (folder / "vocab.json").write_bytes(JSON)
        (folder / "merges.txt").write_bytes(MERGES)
    (folder / name).write_bytes(content)
    path = folder if loader is BytePair else folder / name
    return lambda: loader.load(path), folder / name


@pytest.mark.parametrize(("kind", "damage"), CASES)
def test_damaged_files_are_refused(kind: str, damage: str, tmp_path: pathlib.Path) -> None:
    _, content, message = DAMAGES[damage]
    load, file = written(kind, content, tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load()
    assert str(file.parent) in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_in_the_place_of_a_file(kind: str, tmp_path: pathlib.Path) -> None:
    load, file = written(kind, b"", tmp_path)
    file.unlink()
    file.mkdir()
    with pytest.raises(IsADirectoryError, match=file.name):
        load()


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_file_is_not_read(kind: str, tmp_path: pathlib.Path) -> None:
    load, file = written(kind, b"", tmp_path)
    os.truncate(file, 1 << 40)  # sparse: takes no space on the disk
    with pytest.raises(ValueError, match=rf"at most {LARGEST:,} bytes") as caught:
        load()
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("word", b"\xef\xbb\xbf" + HEAD + b"a\n"),
        ("wordpiece", HEAD.replace(b"\n", b"\r\n") + b"a\r\n"),
        ("bytepair, vocabulary", b"\xef\xbb\xbf" + JSON),
        ("bytepair, vocabulary", JSON.replace(b", ", b",\r\n")),
        ("bytepair, merges", b"\xef\xbb\xbfa b"),
        ("bytepair, merges", MERGES.replace(b"\n", b"\r\n")),
        ("bytepair, merges", gzip.compress(MERGES, mtime=0)),
    ],
)
def test_marks_and_line_ends_of_other_systems(
    kind: str, content: bytes, tmp_path: pathlib.Path
) -> None:
    tokenizer = written(kind, content, tmp_path)[0]()
    assert tokenizer.vocabulary[-1] == ("ab" if kind.startswith("bytepair") else "a")


BOMB = """
import resource, sys
from mmdata.tokenizers import BytePair, ClipBpe

used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # MiB
before = used()
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30),) * 2)  # so that nothing else suffers
for kind, path in zip((ClipBpe, BytePair) * 2, sys.argv[1:], strict=True):
    try:
        kind.load(path)
    except ValueError as err:
        print(err)
print(used() - before)
"""


@pytest.mark.slow
def test_what_a_small_file_unpacks_to_fills_no_memory(tmp_path: pathlib.Path) -> None:
    lines = b"a b\n" * 1_000_000
    folders = [tmp_path / name for name in ("packed", "plain")]
    paths = []
    for folder, content in zip(
        folders, (gzip.compress(lines, mtime=0) * 125, lines * 10), strict=True
    ):
        folder.mkdir()
        (folder / "vocab.json").write_bytes(JSON)
        (folder / "merges.txt").write_bytes(content)
        paths += [folder / "merges.txt", folder]
    assert (folders[0] / "merges.txt").stat().st_size < 2_000_000
    command = [sys.executable, "-c", BOMB, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *messages, grown = done.stdout.splitlines()
    assert len(messages) == 4
    assert all(":2: merge ('a', 'b') makes 'ab'" in message for message in messages)
    assert int(grown) < 64
