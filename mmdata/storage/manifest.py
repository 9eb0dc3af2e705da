"""`manifest.json`: what a folder of rows contains, as plain data that any language can read.

    {
      "format": "mmdata rows",
      "version": 3,
      "fingerprint": "b2f8...",       hash of version, settings and columns; the folder's name
      "settings": {...},              what the rows depend on
      "columns": {
        "row": {"kind": "fixed", "dtype": "|u1", "shape": [224, 224, 3]},
        "identity": {"kind": "fixed", "dtype": "<i8", "shape": [3]}
      },
      "rows": 1783,                   of all shards together
      "shards": [
        {
          "rows": 1783,
          "files": {                  one for each column
            "row": {
              "file": "00000.row.npy",
              "bytes": 268395136,     of the whole file
              "crc32": 2774881,       of its numbers: all bytes after the header
              "modified": "17645..."  nanoseconds since 1970; if it differs, check crc32
            },
            "identity": {...}
          }
        }
      ]
    }

Row r of a column is row r of its files, in the order of the shards. Files that no shard names are
incomplete, and do not count.

The kind of a column says how its rows are stored. `fixed`: `.npy`, version 1.0, C order and
little-endian, all rows of one shape. `ragged` and `sprite` are for exports, see `web_manifest`;
`blob` is reserved.

No number here is above 2**53, so that JavaScript reads all of them exactly. 64-bit columns are in
`.npy`: `BigInt64Array`, or two `Uint32` per number, the low one first.
"""

import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from mmdata.storage.atomic import write

MANIFEST = "manifest.json"
VERSION = 3
"""Goes up when older rows must not be read."""

_ROWS: Literal["mmdata rows"] = "mmdata rows"
_LARGEST = 2**53
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
Crc32 = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class AnyColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of any version.

    Attributes:
      dtype: The dtype of its numbers.
      shape: The shape of a row.
    """

    dtype: str = ""
    shape: tuple[int, ...] = ()


class Column(AnyColumn, frozen=True, kw_only=True):
    """How the rows of a column are stored.

    Attributes:
      kind: See the module.
      dtype: The dtype of its numbers, as NumPy writes it, little-endian.
      shape: The shape of a row.
    """

    kind: Literal["fixed", "blob", "ragged", "sprite"] = "fixed"
    dtype: Annotated[str, msgspec.Meta(pattern=r"^[<|][biufc]\d+$")]
    shape: tuple[Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)], ...]


class ShardFile(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a shard; see the module.

    Attributes:
      file: Its name.
      bytes: Of the whole file.
      crc32: Of its numbers.
      modified: Its time of modification.
    """

    file: Annotated[str, msgspec.Meta(pattern=r"^\d{5,}\.[a-z]+\.npy$")]
    bytes: Count
    crc32: Crc32
    modified: Annotated[str, msgspec.Meta(pattern=r"^-?\d+$")]


class Shard(msgspec.Struct, frozen=True):
    """Some rows; see the module.

    Attributes:
      rows: How many.
      files: By column.
    """

    rows: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]
    files: dict[str, ShardFile]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifests of all formats and versions have.

    Attributes:
      format: What the folder is.
      version: Of the format.
      fingerprint: A hash of the rest, or of a part of it.
      settings: What the rows depend on.
      columns: By name.
      rows: How many.
    """

    format: Literal["mmdata rows", "mmdata web"]
    version: int
    fingerprint: str
    settings: dict[str, Any]
    columns: Mapping[str, AnyColumn]
    rows: Count

    def to_json(self) -> bytes:
        """The content of `manifest.json`."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


AnyManifest = TypeVar("AnyManifest", bound=Head)


class Manifest(Head, frozen=True, kw_only=True):
    """The manifest of a folder of rows, of this version.

    Attributes:
      fingerprint: The folder's name.
      columns: How each is stored, by name.
      shards: Oldest first.
    """

    columns: Mapping[str, Column]
    shards: tuple[Shard, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any], columns: Mapping[str, Column]) -> "Manifest":
        """The manifest of a folder without rows.

        Raises:
          TypeError: JSON cannot hold the settings exactly.
        """
        plain = require_plain(settings, "Store(settings=...)")
        known = {"version": VERSION, "settings": plain, "columns": msgspec.to_builtins(columns)}
        return cls(
            format=_ROWS,
            version=VERSION,
            fingerprint=hashed(known),
            settings=plain,
            columns=dict(columns),
            rows=0,
            shards=(),
        )

    def with_shards(self, shards: tuple[Shard, ...]) -> "Manifest":
        """The same manifest with other shards."""
        rows = sum(shard.rows for shard in shards)
        return msgspec.structs.replace(self, shards=shards, rows=rows)

    def write(self, folder: pathlib.Path) -> None:
        """Writes `manifest.json`, in one step."""
        write(folder / MANIFEST, self.to_json())


def hashed(known: Any) -> str:
    """32 hex digits that differ if plain data differ."""
    text = json.dumps(known, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_head(folder: pathlib.Path) -> Head | None:
    """Reads a manifest of rows of any version; None if the folder has no valid one."""
    try:
        head = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Head)
    except (OSError, ValueError, RecursionError):
        return None
    return head if (head.format, head.fingerprint) == (_ROWS, folder.name) else None


def read_manifest(folder: pathlib.Path) -> Manifest:
    """Reads a manifest of this version.

    Raises:
      FileNotFoundError: There is no manifest.
      ValueError: It is damaged, or this version does not read it.
    """
    content = (folder / MANIFEST).read_bytes()
    manifest = decoded(content, Manifest, form=_ROWS, version=VERSION)
    for name, column in manifest.columns.items():
        if column.kind != "fixed":
            raise ValueError(
                f'has the column {name!r} of kind {column.kind!r}; only "fixed" is read'
            )
    if Manifest.of(manifest.settings, manifest.columns).fingerprint != folder.name:
        raise ValueError("is for rows with other settings")
    complete = all(shard.files.keys() == manifest.columns.keys() for shard in manifest.shards)
    if not complete or manifest.rows != sum(shard.rows for shard in manifest.shards):
        raise ValueError("does not match its own shards")
    return manifest


def decoded(content: bytes, kind: type[AnyManifest], *, form: str, version: int) -> AnyManifest:
    """Decodes a manifest of one format and version.

    Raises:
      ValueError: It is damaged, or of another format or version.
    """
    what = f"is not a manifest of {form.removeprefix('mmdata ')}"
    try:
        head = msgspec.json.decode(content, type=Head)
        if head.format != form:
            raise ValueError(f"{what}, but of the format {head.format!r}")
        if head.version != version:
            raise ValueError(f"has version {head.version}; only version {version} is read")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise ValueError(f"{what} ({err})") from err


def require_plain(value: Any, where: str) -> Any:
    """Returns a value as plain data that JSON and JavaScript hold exactly.

    Args:
      value: None, bools, numbers, strings, and lists and dicts of them; tuples become lists.
      where: Name of the value, for the message.

    Raises:
      TypeError: It is or contains anything else: an int above 2**53, NaN, a key of another type.
    """
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {key: require_plain(each, f"{where}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [require_plain(each, f"{where}[{i}]") for i, each in enumerate(value)]
    is_int = type(value) is int and abs(value) <= _LARGEST
    is_float = type(value) is float and math.isfinite(value)
    if value is None or is_int or is_float or type(value) in (bool, str):
        return value
    raise TypeError(
        f"{where} must be plain data: None, bools, strings, finite numbers up to 2**53, "
        f"lists, and dicts with strings as keys; got {value!r}."
    )
