"""`manifest.json` of a web export: the same form as that of a folder of rows, for public folders.

    {
      "format": "mmdata web",
      "version": 1,
      "fingerprint": "b2f8...",       hash of all the rest, checksums included
      "settings": {...},              pixels, task, text, order and splits
      "columns": {
        "image": {"kind": "sprite", "dtype": "|u1", "shape": [64, 64, 3]},
        "captions": {"kind": "ragged", "dtype": "|u1", "shape": [1]}, ...
      },
      "rows": 640,                    of all splits together
      "shards": [
        {
          "split": "train",           shards of one split follow each other
          "rows": 341,
          "captions": 680,            of these rows
          "files": {
            "image": {
              "file": "00000.image.0c55a1f2.png",
              "bytes": 3141592,       of the whole file
              "crc32": 206938610,     of the whole file, also in its name
              "grid": [19, 18]        rows and columns of a sprite; row i is at
            },                        (i // columns, i % columns)
            "captions": {..., "offsets": {...}}, ...
          }
        }
      ]
    }

The name of a file contains its checksum. So a file with other contents has another name, and no
browser's cache mixes two exports.

Kinds of columns, besides `fixed`: `sprite`: a grid of images in one opaque RGB `.png`. `ragged`:
`.npy` with the values of all items; `offsets`, uint32 [items + 1], says where each item begins. An
item of `captions` and `token_ids` is a caption; `caption_count` says how many each row has.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from mmdata.storage.manifest import (
    MANIFEST,
    Column,
    Count,
    Crc32,
    Head,
    decoded,
    hashed,
    require_plain,
)

WEB_VERSION = 1
"""Goes up when an older `mmdata.js` must not read an export."""

_WEB: Literal["mmdata web"] = "mmdata web"
_NAME = r"^(\d{5,}\.[a-z0-9_]+|tokenizer)\.[0-9a-f]{8}\.(npy|png|json)$"

_Side = Annotated[int, msgspec.Meta(ge=1, le=2**14)]


class WebFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of an export; see the module.

    Attributes:
      file: Its name.
      bytes: Of the whole file.
      crc32: Of the whole file.
      grid: Rows and columns of a sprite.
      offsets: Where the items of a ragged column begin.
    """

    file: Annotated[str, msgspec.Meta(pattern=_NAME)]
    bytes: Count
    crc32: Crc32
    grid: tuple[_Side, _Side] | None = None
    offsets: "WebFile | None" = None


class WebShard(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of one split; see the module.

    Attributes:
      split: The name of the split.
      rows: How many.
      captions: How many their rows have together.
      files: By column.
    """

    split: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    captions: Count
    files: dict[str, WebFile]


class WebManifest(Head, frozen=True, kw_only=True):
    """The manifest of a web export.

    Attributes:
      columns: How each is stored, by name.
      shards: Split by split.
    """

    columns: Mapping[str, Column]
    shards: tuple[WebShard, ...]

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        columns: Mapping[str, Column],
        shards: tuple[WebShard, ...],
    ) -> "WebManifest":
        """The manifest of some shards.

        Raises:
          TypeError: JSON cannot hold the settings exactly.
        """
        manifest = cls(
            format=_WEB,
            version=WEB_VERSION,
            fingerprint="",
            settings=require_plain(settings, "settings"),
            columns=dict(columns),
            rows=sum(shard.rows for shard in shards),
            shards=shards,
        )
        return msgspec.structs.replace(manifest, fingerprint=manifest.hashed())

    def hashed(self) -> str:
        """The hash of everything else than the fingerprint."""
        return hashed(msgspec.to_builtins(msgspec.structs.replace(self, fingerprint="")))

    @property
    def files(self) -> list[WebFile]:
        """All files of all shards."""
        files = [file for shard in self.shards for file in shard.files.values()]
        return files + [file.offsets for file in files if file.offsets is not None]

    @property
    def names(self) -> set[str]:
        """The names of all files that the manifest refers to."""
        names = {file.file for file in self.files}
        tokenizer = (self.settings["text"] or {}).get("tokenizer")
        return names if tokenizer is None else names | {tokenizer}


def is_export_file(name: str) -> bool:
    """Whether exports give names of this form to files that their manifest names."""
    return re.fullmatch(_NAME, name) is not None


def read_web_manifest(folder: pathlib.Path) -> WebManifest:
    """Reads the manifest of an export.

    Raises:
      FileNotFoundError: There is no manifest.
      ValueError: It is damaged, or this version does not read it.
    """
    content = (folder / MANIFEST).read_bytes()
    manifest = decoded(content, WebManifest, form=_WEB, version=WEB_VERSION)
    if manifest.hashed() != manifest.fingerprint:
        raise ValueError("does not match its own fingerprint")
    complete = all(shard.files.keys() == manifest.columns.keys() for shard in manifest.shards)
    if not complete or manifest.rows != sum(shard.rows for shard in manifest.shards):
        raise ValueError("does not match its own shards")
    return manifest


def is_export(folder: pathlib.Path) -> bool:
    """Whether a folder has the manifest of an export, of any version."""
    try:
        head = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Head)
    except (OSError, ValueError, RecursionError):
        return False
    return head.format == _WEB
