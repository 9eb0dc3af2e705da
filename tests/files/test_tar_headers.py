"""Headers of tar archives, against `tarfile`, and of damaged bytes."""

import io
import os
import pathlib
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.files.tar_headers import DamagedTarError, TarEntry, tar_entries

CONTENT = bytes(range(256)) * 8
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "/".join(["folder of a long name"] * 6)


def tar(files: Mapping[str, bytes], format_: str = "ustar", **fields: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=FORMATS[format_], errors="surrogateescape"
    ) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def summed(block: bytes) -> bytes:
    """A header with the checksum that it should have."""
    total = sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
    return block[:148] + b"%06o\0 " % total + block[156:]


def extension(kind: bytes, content: bytes) -> bytes:
    """A header in front of a header, and its content."""
    return header("extension", len(content), kind) + content + bytes(-len(content) % 512)


def walk(path: pathlib.Path, content: bytes) -> tuple[list[TarEntry], str]:
    """The entries before the first damage, and what it is."""
    path.write_bytes(content)
    found: list[TarEntry] = []
    with path.open("rb") as file:
        try:
            for entry in tar_entries(file):
                found.append(entry)
        except DamagedTarError as err:
            return found, str(err)
    return found, ""


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "a.tar"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "names",
    [
        ["0.jpg", "0.txt"],
        ["photo v2.0.png", "trips/2024/photo.png"],
        ["n" * 100, "n" * 99],
        [LONG + "/a.jpg", LONG + "/b.jpg", "c.jpg"],
        ["Fuß/猫.jpg"],
        [],
    ],
)
def test_entries_equal_tarfile(place: pathlib.Path, names: list[str], format_: str) -> None:
    files = {name: CONTENT[: 511 + n] for n, name in enumerate(names)}
    found, damage = walk(place, tar(files, format_))
    assert not damage
    with tarfile.open(place, encoding="utf-8") as archive:
        expected = [TarEntry(m.name, "0", m.offset_data, m.size) for m in archive]
    assert found == expected
    assert [entry.name for entry in found] == names


@pytest.mark.parametrize("format_", FORMATS)
def test_names_that_are_not_utf8_keep_their_bytes(place: pathlib.Path, format_: str) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (entry,), damage = walk(place, tar({name: b"x"}, format_))
    assert (os.fsencode(entry.name), damage) == (b"caf\xe9.jpg", "")


@pytest.mark.parametrize(
    ("content", "names", "damage"),
    [
        (extension(b"g", b"15 comment=abc\n") + tar({"a": b"1"}), ["a"], ""),
        (extension(b"x", b"10 path=b\n" + b"11 size=03\n") + tar({"a": b"12"}), ["b"], ""),
        (extension(b"x", b"10 path=b\n") + extension(b"K", b"t\0") + tar({"a": b"1"}), ["b"], ""),
        (extension(b"x", b"10 size=1\n") + extension(b"L", b"bb\0") + tar({"a": b"1"}), ["bb"], ""),
        (extension(b"g", b"10 path=b\n") + tar({"a": b"1"}), ["a"], ""),
        (header("a", 1, b"\0") + bytes(1024), ["a"], ""),
        (extension(b"x", b"99 path=b\n") + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"9 path=bc") + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"8 path=b\n") + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"0 path=b\n") + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"-1 path=b\n") + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"9" * 600) + tar({"a": b"1"}), [], "malformed pax header"),
        (extension(b"x", b"11 size=-1\n") + tar({"a": b"1"}), [], "gives the size"),
        (extension(b"x", b"22 GNU.sparse.major=1\n") + tar({"a": b"1"}), [], "sparse"),
        (header("big", 8 << 30, b"x") + tar({"a": b"1"}), [], "ends after"),
        (header("big", 2 << 20, b"x") + bytes(3 << 20), [], "extended header of 2,097,152"),
        (header("big", 1 << 62, b"0"), [], "ends after 0 of the"),
        (header("hole", 0, b"S"), [], "sparse"),
        (tar({"a": b"1"})[:1024] + extension(b"x", b"10 path=b\n"), ["a"], "announces"),
        (tar({"a": b"1", "b": b"2"})[:1024], ["a"], "no end-of-archive mark at byte 1,024"),
        (tar({"a": b"1"})[:1100], ["a"], "no end-of-archive mark at byte 1,024"),
        (tar({"a": b"1"})[:1536], ["a"], ""),
        (tar({"a": b"1", "b": b"2"})[:1000], ["a"], "announces"),
        (tar({"a": b"1", "b": b"2"})[:1400], ["a"], "no tar header at byte 1,024"),
        (tar({"a": b"1", "b": bytes(9)})[:1540], ["a"], "ends after 4 of the 9 bytes"),
        (tar({"a": b"1"}) + tar({"b": b"2"}), ["a"], "after its end"),
        (tar({"a": b"1"})[:1024] + b"?" * 512 + tar({"b": b"2"}), ["a"], "no tar header at"),
        (b"", [], "is empty"),
        (b"not a tar", [], "no tar header at byte 0"),
    ],
)  # fmt: skip
def test_entries(place: pathlib.Path, content: bytes, names: list[str], damage: str) -> None:
    found, why = walk(place, content)
    assert [(entry.name, entry.kind) for entry in found] == [(name, "0") for name in names]
    assert damage in why
    assert bool(damage) == bool(why)


def test_no_negative_size_turns_back(place: pathlib.Path) -> None:
    """`tarfile` of Python 3.11.7 reads such an archive for ever."""
    block = header("a", 0, b"0")
    block = summed(block[:124] + b"-0000001000\0" + block[136:])
    assert walk(place, block * 2) == ([], "no tar header at byte 0")


def test_links_and_folders_hold_no_data(place: pathlib.Path) -> None:
    content = header("link", 9, b"2") + header("folder/", 9, b"5") + tar({"a": b"1"})
    found, damage = walk(place, content)
    assert not damage
    assert [(entry.kind, entry.size) for entry in found] == [("2", 0), ("5", 0), ("0", 1)]


def test_sizes_in_binary(place: pathlib.Path) -> None:
    block = header("a", 0, b"0")
    block = summed(block[:124] + b"\x80" + (3).to_bytes(11, "big") + block[136:])
    assert walk(place, block + bytes(1536)) == ([TarEntry("a", "0", 512, 3)], "")


@given(data=st.data())
def test_mutated_bytes_are_entries_or_damage(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"a.jpg": b"x" * 600, LONG + "/b.jpg": b"y", "c.txt": b"z" * 512}
    content = bytearray(tar(files, data.draw(st.sampled_from(sorted(FORMATS)))))
    end = data.draw(st.sampled_from([512, len(content)]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    content[:512] = summed(bytes(content[:512]))
    path = tmp_path_factory.getbasetemp() / "mutated.tar"
    found, _ = walk(path, bytes(content[: data.draw(st.integers(0, len(content)))]))
    length = path.stat().st_size
    assert all(512 <= e.start <= e.start + e.size <= length for e in found)
