"""WebDataset shards: samples in tar archives, read without unpacking."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import posixpath
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mmdata.home import home
from mmdata.members import DamagedTarError, Members, read_at, tar_entries
from mmdata.pairing.findings import Finding, Kind, PairingError
from mmdata.pairing.folders import canonical, is_image, require_exists
from mmdata.pairing.strings import Strings
from mmdata.pairing.texts import Lines, TextDecoder, explain, split_captions

Key = Literal["last_dot", "first_dot"]

_VERSION = 1  # of a saved index
_SETTLED = 2 * 10**9  # ns: the time stamps of some file systems are that coarse
_MOST_SHARDS = 1_000_000
_MOST_COLUMNS = 256
_LONGEST = 16 << 20  # bytes
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_TEXTS = (".txt", ".caption", ".text")
_PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
_KINDS = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a character device",
    "4": "a block device",
    "6": "a pipe",
}
_READ_AS = {
    "each": 'read as one caption a line; lines="one" reads each file as one caption',
    "one": 'paragraphs: read as one caption a file; lines="each" reads each line as one',
}


def expand(path: str) -> list[str]:
    """The names that a brace pattern stands for, in its order.

    >>> expand("cc3m-{008..010}.tar")
    ['cc3m-008.tar', 'cc3m-009.tar', 'cc3m-010.tar']
    >>> expand("{a,b}-{0..1}.tar")
    ['a-0.tar', 'a-1.tar', 'b-0.tar', 'b-1.tar']

    Raises:
      ValueError: The pattern is malformed, or stands for more than 1,000,000 names.
    """
    parts = _BRACES.split(path)
    if any("{" in part or "}" in part for part in parts[::2]):
        raise ValueError(
            "A pattern of shards must close each brace that it opens, none inside another; got "
            f"{path!r}."
        )
    groups = [_choices(group, path) for group in parts[1::2]]
    count = math.prod(map(len, groups))
    if count > _MOST_SHARDS:
        raise ValueError(
            f"A pattern must stand for at most {_MOST_SHARDS:,} shards; got {count:,} by {path!r}."
        )
    return [
        parts[0] + "".join(map(str.__add__, chosen, parts[2::2]))
        for chosen in itertools.product(*groups)
    ]


def _choices(group: str, path: str) -> Sequence[str]:
    bounds = _RANGE.fullmatch(group)
    if bounds:
        first, last = bounds.groups()
        padded = any(len(bound) > 1 and bound[0] == "0" for bound in (first, last))
        width = max(len(first), len(last)) if padded else 0
        numbers = range(int(first), int(last) + 1)
        if 0 < len(numbers) <= _MOST_SHARDS:
            return [f"{number:0{width}}" for number in numbers]
    elif "," in group:
        return group.split(",")
    raise ValueError(
        f"Braces must hold an ascending range such as {{000..499}}, of at most {_MOST_SHARDS:,} "
        f"numbers, or a list such as {{a,b}}; got {{{group}}} in {path!r}."
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """What one shard holds, in its order, apart from hidden files, folders and findings.

    Attributes:
      names: Names of n files, with their folders.
      start: int64 [n], offset of the first byte.
      size: int64 [n], number of bytes.
      findings: What was wrong; their paths are names in the shard, or "" for the shard itself.
    """

    names: Strings
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    findings: tuple[Finding, ...]


def index(path: str) -> Index:
    """Reads the headers of a shard; or what was saved of them, if the shard is the same since.

    Raises:
      OSError: The shard cannot be opened.
      PairingError: It is compressed.
    """
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        stamp = [_VERSION, status.st_size, status.st_mtime_ns]
        kept = _kept_at(path)
        found = _load(kept, stamp)
        if found is None:
            settled = time.time_ns() - status.st_mtime_ns >= _SETTLED
            found = _index(file, path)
            if settled:
                _save(found, kept, stamp)
    return found


def _index(file: BinaryIO, path: str) -> Index:
    _require_plain(file, path)
    files: dict[str, tuple[int, int]] = {}
    seen: Counter[str] = Counter()
    findings: list[Finding] = []
    hidden = 0
    try:
        for name, kind, start, size in tar_entries(file):
            parts = name.split("/")
            if any(map(_is_hidden, parts)):
                hidden += 1
            elif kind == "5" or parts[-1] == "":
                continue
            elif why := _refusal(parts, kind):
                findings.append(Finding("outside", name, why))
            else:
                plain = posixpath.normpath(name)
                seen[plain] += 1
                files[plain] = start, size
    except (DamagedTarError, OSError) as err:
        findings.append(Finding("malformed", "", str(err)))
    for name, count in seen.items():
        if count > 1:
            del files[name]
            findings.append(Finding("ambiguous", name, f"occurs {count:,} times", count))
    if hidden:
        findings.append(Finding("ignored", "", "hidden and system files", hidden))
    places = np.array(list(files.values()), np.int64).reshape(-1, 2)
    return Index(Strings.of(files), places[:, 0], places[:, 1], tuple(findings))


def _require_plain(file: BinaryIO, path: str) -> None:
    magic = os.pread(file.fileno(), 8, 0)
    for start, (kind, command) in _PACKED.items():
        if magic.startswith(start):
            raise PairingError(
                "Shards must not be compressed, since they are read in place; got "
                f"{path!r}, which is {kind}. Decompress it first, e.g. by {command}."
            )


def _is_hidden(part: str) -> bool:
    return part.lower() in _SYSTEM or (part[:1] == "." and part not in (".", ".."))


def _refusal(parts: list[str], kind: str) -> str | None:
    """Why a member is left out, if it is."""
    if kind != "0":
        return f"{_KINDS.get(kind, f'of type {kind!r}')}, no file"
    if parts[0] == "":
        return "an absolute path"
    return "leaves the folder of the shard" if ".." in parts else None


def _kept_at(path: str) -> str:
    real = os.fsencode(os.path.realpath(path))
    return str(home() / "shards" / f"{hashlib.blake2b(real, digest_size=16).hexdigest()}.npz")


def _save(found: Index, path: str, stamp: list[int]) -> None:
    findings = json.dumps([dataclasses.astuple(finding) for finding in found.findings])
    partial = None
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
            partial = file.name
            np.savez(
                file,
                stamp=np.array(stamp),
                names=np.frombuffer(found.names.data, np.uint8),
                offsets=found.names.offsets,
                start=found.start,
                size=found.size,
                findings=np.frombuffer(findings.encode(), np.uint8),
            )
        os.replace(partial, path)
    except OSError as err:
        if partial is not None and os.path.exists(partial):
            os.remove(partial)
        warnings.warn(f"{path}: the index of a shard cannot be kept ({err}).", stacklevel=3)


def _load(path: str, stamp: list[int]) -> Index | None:
    try:
        with np.load(path) as saved:
            if saved["stamp"].tolist() != stamp:
                return None
            names = Strings(saved["names"].tobytes(), saved["offsets"])
            findings = tuple(Finding(*each) for each in json.loads(saved["findings"].tobytes()))
            found = Index(names, saved["start"], saved["size"], findings)
    except Exception:  # whatever is wrong with it: the shard itself says all of it again
        return None
    return found if _is_sound(found, length=stamp[1]) else None


def _is_sound(found: Index, length: int) -> bool:
    offsets, start, size = found.names.offsets, found.start, found.size
    return (
        all(array.dtype == np.int64 and array.ndim == 1 for array in (offsets, start, size))
        and len(offsets) == len(start) + 1 == len(size) + 1
        and offsets[0] == 0
        and offsets[-1] == len(found.names.data)
        and bool(np.all(np.diff(offsets) >= 0) and np.all(size >= 0) and np.all(start >= 0))
        and bool(np.all(start <= length - size))
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What n images in shards say of themselves, in the order of the shards.

    Attributes:
      shards: Paths of the shards, as `open` takes them.
      images: Names, `shard.tar/folder/photo.jpg`.
      captions: Those of each image, stripped; none at all, or "" for a blank one.
      shard: int32 [n], index into `shards`.
      start: int64 [n], offset of an image's first byte.
      size: int64 [n], number of an image's bytes.
      splits: The split of each image, None where it has none; None where no image has one.
      weights: How often each image counts; None where nothing says so.
      columns: Further values of each image, by name; None where it has none.
      findings: What was left out, and what was made of the rest.
    """

    shards: tuple[str, ...]
    images: list[str]
    captions: list[list[str]]
    shard: NDArray[np.int32]
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    splits: list[str | None] | None
    weights: list[float] | None
    columns: dict[str, list[Any]]
    findings: list[Finding]

    @property
    def members(self) -> Members:
        """Where the images lie."""
        return Members(self.shards, self.shard, self.start, self.size)


def read(path: str, *, decoder: TextDecoder, lines: Lines, key: Key = "last_dot") -> Contents:
    """Reads names and captions in shards, with a progress bar after two seconds. Opens no image.

    The members of a shard whose names share a key are one sample: an image, with its captions in
    `.txt`, `.caption` or `.text`, or in `.json` under "captions", "caption" or "text". A `.json`
    may also hold "split", "weight" and further values; a `.cls` holds an int.

    Args:
      path: A `.tar`; a brace pattern, see `expand`; or a folder that holds `.tar` files.
      decoder: What turns bytes into text.
      lines: See `split_captions`.
      key: "last_dot" takes the name up to its last dot; "first_dot" up to the first dot behind the
        last slash, as WebDataset does.

    Raises:
      FileNotFoundError: There is no such shard.
      PairingError: A shard is compressed, or a folder holds none.
      ValueError: A brace pattern is malformed, `path` names a shard twice, or there is no such
        `key`.
    """
    if key not in ("last_dot", "first_dot"):
        raise ValueError(f'key=... must be "last_dot" or "first_dot"; got {key!r}.')
    shards, findings = _shards(path)
    reading = _Reading(decoder, lines, key, findings)
    bar = tqdm(shards, desc="indexing shards", unit="shard", delay=2, leave=False)
    for number, (shard, label) in enumerate(zip(bar, _labels(shards), strict=True)):
        reading.add(number, shard, label)
    return reading.contents(shards)


def _shards(path: str) -> tuple[list[str], list[Finding]]:
    """The shards at a path; and a notice of what else a folder holds."""
    if not os.path.isdir(path):
        shards = [path] if os.path.exists(path) else expand(path)
        for shard in shards:
            require_exists(shard, "images")
        twice = [
            name for name, count in Counter(map(os.path.realpath, shards)).items() if count > 1
        ]
        if twice:
            raise ValueError(f"images=... must name each shard once; got {twice[0]!r} in {path!r}.")
        return shards, []
    names = sorted(os.listdir(path))
    tars = [name for name in names if name.lower().endswith(".tar") and name[0] != "."]
    if not tars:
        raise PairingError(f"A folder of shards must hold .tar files; got none in {path!r}.")
    others = [name for name in names if name not in set(tars)]
    notice = [Finding("ignored", others[0], "no shard", len(others))] if others else []
    return [os.path.join(path, name) for name in tars], notice


def _labels(shards: list[str]) -> list[str]:
    """The names of shards, with as many of their folders as tell them apart."""
    names = [os.path.basename(shard) for shard in shards]
    if len(set(names)) == len(names):
        return names
    whole = [os.path.abspath(shard) for shard in shards]
    common = os.path.commonpath([os.path.dirname(shard) for shard in whole])
    return [os.path.relpath(shard, common).replace(os.sep, "/") for shard in whole]


class _LeftOutError(Exception):
    """A sample is left out.

    Attributes:
      entry: The member that is the reason.
    """

    def __init__(self, kind: Kind, entry: int, detail: str, count: int = 1) -> None:
        super().__init__(detail)
        self.kind = kind
        self.entry = entry
        self.detail = detail
        self.count = count


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard that is open."""

    number: int
    label: str
    index: Index
    file: BinaryIO

    def where(self, entry: int) -> str:
        return f"{self.label}: {self.index.names[entry]}"

    def content(self, entry: int) -> bytes:
        size = int(self.index.size[entry])
        if size > _LONGEST:
            raise _LeftOutError("malformed", entry, f"{size:,} bytes; at most {_LONGEST:,}")
        return read_at(self.file.fileno(), int(self.index.start[entry]), size)


Sample = dict[str, list[int]]
"""The members of one key by what they are: "image", ".json", ".cls", ".txt", ..."""


class _Reading:
    """Gathers the samples of one shard after the other."""

    def __init__(
        self, decoder: TextDecoder, lines: Lines, key: Key, findings: list[Finding]
    ) -> None:
        self._decoder = decoder
        self._lines = lines
        self._key = key
        self._findings = findings
        self._notices: dict[tuple[Kind, str], tuple[str, int]] = {}
        self._images: list[str] = []
        self._captions: list[list[str]] = []
        self._places: list[tuple[int, int, int]] = []
        self._columns: dict[str, list[Any]] = {}
        self._splits: list[str | None] = []
        self._weights: list[float | None] = []

    def add(self, number: int, path: str, label: str) -> None:
        """Reads one shard."""
        if not os.path.isfile(path):  # to open a pipe would be to wait for it
            self._findings.append(Finding("unreadable", label, "not a regular file"))
            return
        try:
            found = index(path)
            with open(path, "rb", buffering=0) as file:
                shard = _Shard(number, label, found, file)
                for finding in found.findings:
                    where = f"{label}: {finding.path}" if finding.path else label
                    self._findings.append(dataclasses.replace(finding, path=where))
                for sample in self._samples(shard):
                    self._add_sample(shard, sample)
        except OSError as err:
            self._findings.append(Finding("unreadable", label, err.strerror or str(err)))

    def contents(self, shards: list[str]) -> Contents:
        """All samples so far."""
        count = len(self._images)
        for column in self._columns.values():
            column += [None] * (count - len(column))
        places = np.array(self._places, np.int64).reshape(-1, 3)
        weighted = any(weight is not None for weight in self._weights)
        notices = [
            Finding(kind, first, detail, times)
            for (kind, detail), (first, times) in self._notices.items()
        ]
        return Contents(
            shards=tuple(shards),
            images=self._images,
            captions=self._captions,
            shard=places[:, 0].astype(np.int32),
            start=places[:, 1],
            size=places[:, 2],
            splits=self._splits if any(self._splits) else None,
            weights=[1.0 if w is None else w for w in self._weights] if weighted else None,
            columns=self._columns,
            findings=[*self._findings, *notices],
        )

    def _samples(self, shard: _Shard) -> list[Sample]:
        samples: dict[str, Sample] = {}
        for entry, name in enumerate(shard.index.names):
            folder, slash, base = name.rpartition("/")
            end = posixpath.splitext(base)[1].lower()
            if is_image(base):
                end = "image"
            elif end not in (*_TEXTS, ".json", ".cls"):
                self._ignore(shard, entry, end or "no extension")
                continue
            cut = base.find(".") if self._key == "first_dot" else base.rfind(".")
            key = canonical(folder + slash + base[:cut])
            samples.setdefault(key, {}).setdefault(end, []).append(entry)
        return list(samples.values())

    def _ignore(self, shard: _Shard, entry: int, what: str) -> None:
        self._notice("ignored", f"no image and no caption: {what}", shard.where(entry))

    def _notice(self, kind: Kind, detail: str, where: str) -> None:
        first, count = self._notices.get((kind, detail), (where, 0))
        self._notices[kind, detail] = first, count + 1

    def _add_sample(self, shard: _Shard, sample: Sample) -> None:
        try:
            if "image" in sample or sample.keys() - {".cls"}:
                self._add_row(shard, sample)
            else:
                self._ignore(shard, sample[".cls"][0], ".cls without an image")
        except _LeftOutError as out:
            self._findings.append(Finding(out.kind, shard.where(out.entry), out.detail, out.count))

    def _add_row(self, shard: _Shard, sample: Sample) -> None:
        for entries in sample.values():
            if len(entries) > 1:
                detail = "the same key: " + ", ".join(
                    repr(shard.index.names[entry]) for entry in entries[:5]
                )
                raise _LeftOutError("ambiguous", entries[0], detail, len(entries))
        parts = {end: entries[0] for end, entries in sample.items()}
        if "image" not in parts:
            raise _LeftOutError("missing_image", next(iter(parts.values())), "")
        said = self._json(shard, parts[".json"]) if ".json" in parts else _Said()
        captions = self._texts(shard, parts, said.captions)
        values = said.columns
        if ".cls" in parts:
            values["cls"] = self._cls(shard, parts[".cls"])

        image = parts["image"]
        self._add_values(shard.where(image), values)
        self._images.append(f"{shard.label}/{shard.index.names[image]}")
        self._captions.append(captions)
        self._places.append(
            (shard.number, int(shard.index.start[image]), int(shard.index.size[image]))
        )
        self._splits.append(said.split)
        self._weights.append(said.weight)

    def _texts(self, shard: _Shard, parts: dict[str, int], said: list[str] | None) -> list[str]:
        """The captions of a sample, in its first caption file, or as `said` by its `.json`."""
        given = [parts[end] for end in _TEXTS if end in parts]
        for entry in given[1:]:
            end = posixpath.splitext(shard.index.names[entry])[1].lower()
            self._ignore(shard, entry, f"{end} beside another caption file")
        if not given:
            return said or []
        text = self._decode(shard, given[0]).strip()
        captions, how = split_captions(text, self._lines)
        captions = captions or [""]
        if not said:
            if how is not None:
                self._notice("several_lines", _READ_AS[how], shard.where(given[0]))
            return captions
        if " ".join(said).split() != text.split():
            name = shard.index.names[parts[".json"]]
            raise _LeftOutError("disagreement", given[0], f"{name!r} has other captions")
        return said

    def _decode(self, shard: _Shard, entry: int) -> str:
        try:
            text, note = self._decoder.decode(shard.content(entry))
        except UnicodeDecodeError as err:
            raise _LeftOutError("encoding", entry, explain(err)) from err
        if note is not None:
            self._findings.append(Finding("coerced", shard.where(entry), note))
        return text

    def _json(self, shard: _Shard, entry: int) -> "_Said":
        try:
            said = _said(json.loads(self._decode(shard, entry)))
        except (ValueError, RecursionError) as err:
            raise _LeftOutError("malformed", entry, str(err)) from err
        if said.nested:
            self._ignore(shard, entry, "lists and objects in .json")
        return said

    def _cls(self, shard: _Shard, entry: int) -> int:
        text = self._decode(shard, entry).strip()
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise _LeftOutError("malformed", entry, f"must be an int; got {text[:20]!r}")
        return int(text)

    def _add_values(self, where: str, values: dict[str, Any]) -> None:
        row = len(self._images)
        for name, value in values.items():
            if name not in self._columns and len(self._columns) == _MOST_COLUMNS:
                self._notice("ignored", f"values of a {_MOST_COLUMNS + 1}th name, or later", where)
                continue
            column = self._columns.setdefault(name, [])
            column += [None] * (row - len(column))
            column.append(value)


@dataclasses.dataclass
class _Said:
    """What the `.json` of a sample says.

    Attributes:
      captions: Its captions; None where it gives none.
      split: The name of its split.
      weight: How often it counts.
      columns: Further single values.
      nested: Whether there are lists or objects among the further values.
    """

    captions: list[str] | None = None
    split: str | None = None
    weight: float | None = None
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    nested: bool = False


def _said(found: Any) -> _Said:
    """What a parsed `.json` says; raises ValueError where it is not what it must be."""
    if not isinstance(found, dict):
        raise ValueError(f"must hold an object; got {type(found).__name__}")
    json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    found = {name: value for name, value in found.items() if value is not None}
    said = _Said()
    for name in ("captions", "caption", "text"):
        if name in found:
            said.captions = _captions(name, found.pop(name))
            break
    said.split = found.pop("split", None)
    if not isinstance(said.split, str | None):
        raise ValueError(f'"split" must be text; got {said.split!r}')
    if "weight" in found:
        said.weight = _weight(found.pop("weight"))
    said.columns = {n: v for n, v in found.items() if not isinstance(v, dict | list)}
    said.nested = len(said.columns) < len(found)
    return said


def _captions(name: str, given: Any) -> list[str]:
    captions = [given] if isinstance(given, str) and name != "captions" else given
    if not isinstance(captions, list) or not all(isinstance(each, str) for each in captions):
        raise ValueError(f'"{name}" must be text, or a list of texts')
    return [caption.strip() for caption in captions]


def _weight(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1e30:
        raise ValueError(f'"weight" must be a number >= 0; got {str(given)[:20]}')
    return float(given)
