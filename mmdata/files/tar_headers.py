"""Headers of tar archives: their members, and the positions of their bytes."""

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from mmdata.files.blobs import read_at

_BLOCK = 512
_LONGEST_EXTENSION = 1 << 20  # bytes of a long name or of pax records; usual are hundreds
_WITHOUT_DATA = b"123456"  # links, devices, folders, pipes


class TarEntry(NamedTuple):
    """One member of a tar archive, as its header describes it.

    Attributes:
      name: The stored name; bytes that are not UTF-8 are escaped as Python escapes file names.
      kind: The type flag of ustar: "0" is a file, "1" and "2" are links, "5" is a folder.
      start: Offset of its first byte.
      size: Number of bytes.
    """

    name: str
    kind: str
    start: int
    size: int


class DamagedTarError(ValueError):
    """A file is not a valid tar archive, or was cut short."""


def tar_entries(file: BinaryIO) -> Iterator[TarEntry]:
    """Reads the headers of a tar archive, one by one, in bounded time and memory.

    Reads ustar, GNU long names, pax paths and sizes, and older archives. Python's `tarfile` is not
    used: a pax header of 1 MiB can block it for minutes, and one of 64 KiB can make it use 1 GB
    (CPython 3.11.7).

    Raises:
      DamagedTarError: A header is invalid, the archive ends too early or without the block of
        zeros that marks its end, something follows its end, or a member is stored sparse. All
        members before that are yielded first.

    Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual,
    "Basic Tar Format".
    """
    descriptor, length = file.fileno(), os.fstat(file.fileno()).st_size
    if length == 0:
        raise DamagedTarError("is empty")
    offset = 0
    extended: dict[bytes, bytes] = {}
    while True:
        block = os.pread(descriptor, _BLOCK, offset)
        if not block.strip(b"\0"):
            _require_end(descriptor, offset, length, extended)
            return
        kind, size = _kind_and_size(block, offset)
        extends = kind in b"LKxXg"
        if b"size" in extended and not extends:
            size = _pax_size(extended[b"size"])
        start = offset + _BLOCK
        stored = 0 if kind in _WITHOUT_DATA else size
        if start + stored > length:
            raise DamagedTarError(
                f"ends after {length - start:,} of the {stored:,} bytes of the member at {offset:,}"
            )
        if extends:
            extended |= _extension(descriptor, kind, start, size)
        else:
            yield TarEntry(_name(block, extended), kind.decode("latin-1"), start, stored)
            extended = {}
        offset = start + -(-stored // _BLOCK) * _BLOCK


def _kind_and_size(block: bytes, offset: int) -> tuple[bytes, int]:
    try:
        checksum = _number(block[148:156])
        size = _number(block[124:136])
    except ValueError:
        checksum = size = -1
    if len(block) < _BLOCK or checksum != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise DamagedTarError(f"no tar header at byte {offset:,}")
    kind = block[156:157]
    if kind == b"S":
        raise DamagedTarError(f"the member at {offset:,} is stored sparse; pack without --sparse")
    return b"0" if kind in (b"\0", b"7") else kind, size


def _number(field: bytes) -> int:
    """A number in octal digits; or in binary, as GNU tar writes larger ones."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if not (digits or b"0").isdigit():
        raise ValueError("not an octal number")
    return int(digits or b"0", 8)


def _name(block: bytes, extended: dict[bytes, bytes]) -> str:
    name = extended.get(b"path")
    if name is None:
        name = block[:100].partition(b"\0")[0]
        if block[257:263] == b"ustar\0" and block[345]:
            name = block[345:500].partition(b"\0")[0] + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _extension(descriptor: int, kind: bytes, start: int, size: int) -> dict[bytes, bytes]:
    """The path and size of the next member, as the header in front of its own gives them."""
    if size > _LONGEST_EXTENSION:
        raise DamagedTarError(f"an extended header of {size:,} bytes at byte {start:,}")
    content = read_at(descriptor, start, size)
    if kind == b"L":
        return {b"path": content.partition(b"\0")[0]}
    if kind not in b"xX":  # the target of a link, or values for all members, such as a comment
        return {}
    records = _pax_records(content, start)
    if any(keyword.startswith(b"GNU.sparse.") for keyword in records):
        raise DamagedTarError(f"the member at {start:,} is stored sparse; pack without --sparse")
    return {keyword: records[keyword] for keyword in (b"path", b"size") if keyword in records}


def _pax_records(content: bytes, start: int) -> dict[bytes, bytes]:
    """Parses records such as `27 path=trips/photo v2.png` and a line end: 27 bytes with it."""
    records: dict[bytes, bytes] = {}
    offset = 0
    while offset < len(content):
        digits = content[offset : offset + 8].partition(b" ")[0]
        end = offset + int(digits) if digits.isdigit() else -1
        record = content[offset + len(digits) + 1 : end]
        keyword, equals, value = record[:-1].partition(b"=")
        if not (offset < end <= len(content) and equals and record.endswith(b"\n")):
            raise DamagedTarError(f"a malformed pax header at byte {start + offset:,}")
        records[keyword] = value
        offset = end
    return records


def _pax_size(given: bytes) -> int:
    if not given.isdigit() or len(given) > 18:
        raise DamagedTarError(f"a pax header gives the size {given[:20]!r}")
    return int(given)


def _require_end(descriptor: int, offset: int, length: int, extended: dict[bytes, bytes]) -> None:
    """Raises unless there is a block of zeros at `offset`, and only zeros after it."""
    if offset > length or extended:
        raise DamagedTarError(f"ends at byte {length:,}, before the member that it announces")
    if offset + _BLOCK > length:
        raise DamagedTarError(f"no end-of-archive mark at byte {offset:,}; cut off?")
    while content := os.pread(descriptor, 1 << 20, offset):
        if content.strip(b"\0"):
            raise DamagedTarError(
                f"holds data after its end, at byte {offset:,}: are these several archives?"
            )
        offset += len(content)
