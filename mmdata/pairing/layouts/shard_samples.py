"""Members of a tar shard -> samples: an image, and the other members with its key."""

import dataclasses
import re
from collections.abc import Iterator
from typing import BinaryIO

from mmdata.files.blobs import read_at
from mmdata.pairing.folders import canonical, extension, is_image
from mmdata.pairing.layouts import sample_json
from mmdata.pairing.layouts.sample_json import SampleInfo
from mmdata.pairing.layouts.shard_index import Index
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.texts import READ_AS, Lines, TextDecoder, explain, split_captions
from mmdata.pairs.findings import Finding, Kind, Notes

_LONGEST = 16 << 20  # bytes
_TEXTS = (".txt", ".caption", ".text")

Parts = dict[str, list[int]]
"""The members of one key by their kind: "image", ".json", ".cls", ".txt", ..."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """An open shard."""

    label: str
    index: Index
    file: BinaryIO

    def where(self, entry: int) -> str:
        """The name of a member in findings."""
        return f"{self.label}: {self.index.names[entry]}"

    def content(self, entry: int) -> bytes:
        """The bytes of a member other than an image, unless there are too many."""
        size = int(self.index.size[entry])
        if size > _LONGEST:
            raise _LeftOutError("malformed", entry, f"{size:,} bytes; at most {_LONGEST:,}")
        return read_at(self.file.fileno(), int(self.index.start[entry]), size)


class _LeftOutError(Exception):
    """A sample is left out because of the member `entry`."""

    def __init__(self, kind: Kind, entry: int, detail: str, count: int = 1) -> None:
        super().__init__(detail)
        self.kind = kind
        self.entry = entry
        self.detail = detail
        self.count = count


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image of a shard.

    Attributes:
      image: Its position in the index of the shard.
      captions: Its captions, stripped; "" for a blank one.
      info: The content of its `.json`, and its `.cls`.
    """

    image: int
    captions: list[str]
    info: SampleInfo


@dataclasses.dataclass(frozen=True)
class SampleReader:
    """Reads the samples of one shard after the other.

    Attributes:
      decoder: Turns bytes into text.
      lines: See `split_captions`.
      at_first_dot: Whether a key ends at the first dot after the last slash, not at the last dot.
      columns: Which keys of a `.json` hold captions and weights; if keys are named for captions, no
        other captions are read.
      extensions: Extensions of caption files, possibly with ".json"; the first one that a sample
        has is used. None means ".txt", ".caption", ".text" and ".json", which must not differ.
      notes: Collects findings about everything that is in no sample.
    """

    decoder: TextDecoder
    lines: Lines
    at_first_dot: bool
    columns: Columns
    extensions: tuple[str, ...] | None
    notes: Notes

    def samples(self, shard: Shard) -> Iterator[Sample]:
        """The samples with an image and without a fault."""
        for parts in self._grouped(shard):
            if parts.keys() == {".cls"}:
                self._ignore(shard, parts[".cls"][0], ".cls without an image")
                continue
            try:
                yield self._sample(shard, _one_each(shard, parts))
            except _LeftOutError as out:
                self.notes.add(Finding(out.kind, shard.where(out.entry), out.detail, out.count))

    def _grouped(self, shard: Shard) -> list[Parts]:
        known = {*_TEXTS, *(self.extensions or ()), ".json", ".cls"}
        grouped: dict[str, Parts] = {}
        for entry, name in enumerate(shard.index.names):
            folder, slash, base = name.rpartition("/")
            end = extension(base)
            if is_image(base):
                end = "image"
            elif end not in known:
                self._ignore(shard, entry, end or "no extension")
                continue
            key = canonical(folder + slash + base[: self._cut(base)])
            grouped.setdefault(key, {}).setdefault(end, []).append(entry)
        return list(grouped.values())

    def _cut(self, base: str) -> int:
        return base.find(".") if self.at_first_dot else base.rfind(".")

    def _ignore(self, shard: Shard, entry: int, what: str) -> None:
        self.notes.count("ignored", f"neither image nor caption: {what}", shard.where(entry))

    def _sample(self, shard: Shard, parts: dict[str, int]) -> Sample:
        if "image" not in parts:
            raise _LeftOutError("missing_image", next(iter(parts.values())), "")
        info = self._json(shard, parts[".json"]) if ".json" in parts else SampleInfo()
        captions = self._captions(shard, parts, info.captions)
        if info.rejected is not None:
            where = shard.where(parts[".json"])
            for _ in captions:
                self.notes.count("rejected", f"marked as {info.rejected}", where)
            captions = []
        if ".cls" in parts:
            info.columns["cls"] = self._cls(shard, parts[".cls"])
        return Sample(parts["image"], captions, info)

    def _captions(
        self, shard: Shard, parts: dict[str, int], in_json: list[str] | None
    ) -> list[str]:
        """The captions of a sample: those in its `.json`, or those in its first caption file."""
        if self.columns.named_captions or self.extensions is not None:
            return self._chosen(shard, parts, in_json)
        given = [parts[end] for end in _TEXTS if end in parts]
        for entry in given[1:]:
            if self._text(shard, entry).split() != self._text(shard, given[0]).split():
                raise self._disagreement(shard, entry, given[0])
        if not given or not in_json:
            return self._lines(shard, given[0]) if given else in_json or []
        if " ".join(in_json).split() != self._text(shard, given[0]).split():
            raise self._disagreement(shard, given[0], parts[".json"])
        return in_json

    def _chosen(self, shard: Shard, parts: dict[str, int], in_json: list[str] | None) -> list[str]:
        """The captions of a sample in the first of the chosen files."""
        wanted = self.extensions or (".json",)
        existing = [end for end in wanted if end in parts and (end != ".json" or in_json)]
        for end in sorted(parts.keys() - {"image", ".json", ".cls", *existing[:1]}):
            self._ignore(shard, parts[end], f"{end}, which was not chosen")
        if not existing:
            return []
        return in_json or [] if existing[0] == ".json" else self._lines(shard, parts[existing[0]])

    def _lines(self, shard: Shard, entry: int) -> list[str]:
        captions, how = split_captions(self._text(shard, entry).strip(), self.lines)
        if how is not None:
            self.notes.count("several_lines", READ_AS[how], shard.where(entry))
        return captions or [""]

    def _disagreement(self, shard: Shard, entry: int, other: int) -> _LeftOutError:
        ends = sorted(extension(shard.index.names[each]) for each in (entry, other))
        return _LeftOutError(
            "disagreement",
            entry,
            f"{shard.index.names[other]!r} has other captions; extensions=({ends[0]!r},) or "
            f"({ends[1]!r},) chooses",
        )

    def _text(self, shard: Shard, entry: int) -> str:
        try:
            text, note = self.decoder.decode(shard.content(entry))
        except UnicodeDecodeError as err:
            raise _LeftOutError("encoding", entry, explain(err)) from err
        if note is not None:
            self.notes.add(Finding("coerced", shard.where(entry), note))
        return text

    def _json(self, shard: Shard, entry: int) -> SampleInfo:
        text = self._text(shard, entry)
        try:
            info = sample_json.read(text, self.columns)
        except (ValueError, RecursionError) as err:
            raise _LeftOutError("malformed", entry, str(err)) from err
        for name in info.unused:
            detail = f"{name!r} in addition to other captions; caption_column={name!r} chooses it"
            self.notes.count("ignored", detail, shard.where(entry))
        if info.nested:
            self._ignore(shard, entry, "lists and objects in .json")
        return info

    def _cls(self, shard: Shard, entry: int) -> int:
        text = self._text(shard, entry).strip()
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise _LeftOutError("malformed", entry, f"must be an int; got {text[:20]!r}")
        return int(text)


def _one_each(shard: Shard, parts: Parts) -> dict[str, int]:
    for entries in parts.values():
        if len(entries) > 1:
            names = ", ".join(repr(shard.index.names[entry]) for entry in entries[:5])
            raise _LeftOutError("ambiguous", entries[0], f"the same key: {names}", len(entries))
    return {end: entries[0] for end, entries in parts.items()}
