"""Layout "sidecar": `a/b.txt` describes `a/b.jpg`, next to it or in a parallel tree."""

import dataclasses
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.files.links import Links, outside_detail
from mmdata.pairing import folders
from mmdata.pairing.file_splits import FileSplits, Lists, by_folders, by_lists
from mmdata.pairing.folders import Folder, Walk
from mmdata.pairing.layouts.siblings import NUMBER, Family, siblings
from mmdata.pairing.matching import other_splits, repeated, require_splits
from mmdata.pairing.problems import Problems
from mmdata.pairing.texts import (
    READ_AS,
    Lines,
    TextDecoder,
    explain,
    split_captions,
    why_without_text,
    with_text,
)
from mmdata.pairing.tree import Ignored, Tree, index
from mmdata.pairs.findings import Finding, Notes
from mmdata.pairs.pairs import Pairs, Row
from mmdata.progress import progress

_EXTENSIONS = (".txt", ".caption")
_STRUCTURED = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".xml", ".yaml", ".yml")
_SHOWN = 5
_REPEATS = re.compile(r"([1-9]\d{0,2})_.+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How caption files are found and read.

    Attributes:
      extensions: Extensions of caption files; the first one that an image has is used. None means
        ".txt" and ".caption", and it is a problem if an image has both and they differ.
      lines: "each" is one caption per line, "one" is one caption per file; "auto" reads paragraphs
        of several sentences as one caption.
      repeats: Whether the folder `10_name` gives its images weight 10, as kohya's trainers do;
        "auto" does if all images are in such folders.
      links: Whether links out of the folders are followed.
      decoder: Turns bytes into text.

    Raises:
      ValueError: A field has another value.
    """

    extensions: tuple[str, ...] | None = None
    lines: Lines = "auto"
    repeats: bool | Literal["auto"] = "auto"
    links: Links = "inside"
    decoder: TextDecoder = dataclasses.field(default_factory=TextDecoder)

    def __post_init__(self) -> None:
        if self.extensions is not None and not (
            isinstance(self.extensions, tuple)
            and self.extensions
            and all(isinstance(end, str) and _is_extension(end) for end in self.extensions)
        ):
            raise ValueError(
                'extensions=... must be a tuple such as (".caption", ".txt"), none of an image, '
                f"or None; got {self.extensions!r}."
            )
        if self.lines not in ("auto", "each", "one"):
            raise ValueError(f'lines=... must be "auto", "each" or "one"; got {self.lines!r}.')
        if self.repeats not in (True, False, "auto"):
            raise ValueError(f'repeats=... must be True, False or "auto"; got {self.repeats!r}.')


def read(
    images: str,
    captions: str,
    *,
    problems: Problems,
    settings: Settings,
    chosen: Collection[str] | None = None,
    lists: Lists | None = None,
) -> Pairs:
    """Pairs the image files under `images` with the caption files under `captions`.

    Files match when their relative paths without the last extension are equal in Unicode NFC; or,
    if none is, equal except for case. `b.0.txt`, `b.1.txt` together are the captions of `b.jpg`.

    Args:
      images: The folder of images.
      captions: The folder of caption files; may be the same.
      problems: The captions for images without one.
      settings: How caption files are found and read.
      chosen: Splits to keep; None keeps all.
      lists: The names of the images of each split; None recognises folders that are splits.

    Returns:
      The pairs; every file without a match is a finding in their report.
    """
    structured = [end for end in settings.extensions or () if end.lower() in _STRUCTURED]
    if structured:
        raise ValueError(
            f"extensions=... must be those of text files; got {structured}. Put the captions into "
            "one table, e.g. metadata.jsonl, or into .tar shards."
        )
    splits = _splits(images, settings.links, lists)
    require_splits(splits.names, chosen, "layout 'sidecar'")
    reading = _Reading(
        images, captions, problems, settings, splits, chosen if splits.names else None
    )
    rows = progress(reading.rows(), what="reading captions", unit="image")
    pairs = Pairs.of_rows(images, rows, layout="sidecar")
    weights, repeats = _weights(pairs, settings.repeats)
    findings = (*reading.findings(), *repeats)
    report = dataclasses.replace(pairs.report, findings=findings)
    return splits.label(dataclasses.replace(pairs, weights=weights, report=report))


def _splits(images: str, links: Links, lists: Lists | None) -> FileSplits:
    if lists is not None:
        return by_lists(lists, Tree.walk(images, links=links).images)
    counts: dict[str, int] = {}
    for folder in Walk(images, links).folders():
        count = sum(map(folders.is_image, folder.files))
        if count:
            counts[folder.path] = count
    return by_folders(counts)


class _Reading:
    """Walks the captions, then the images, and holds the objects of one folder at a time."""

    def __init__(
        self,
        images: str,
        captions: str,
        problems: Problems,
        settings: Settings,
        splits: FileSplits,
        chosen: Collection[str] | None,
    ) -> None:
        self._images = images
        self._captions = captions
        self._problems = problems
        self._settings = settings
        self._splits = splits
        self._chosen = chosen
        self._others: list[str] = []
        self._extensions = tuple(map(str.lower, settings.extensions or _EXTENSIONS))
        self._notes = Notes()
        self._ignored = Ignored()
        self._walks = [Walk(images, settings.links)]
        self._outside_images: dict[str, str] = {}
        self._outside_texts: dict[str, str] = {}
        self._similar: dict[str, list[str]] = {}
        self._is_same_folder = os.path.samefile(captions, images)
        self._texts = self._list_texts()

    def rows(self) -> Iterator[Row]:
        """The rows in the order of their paths."""
        waiting: list[tuple[str, Family | None]] = [("", None)]
        while waiting:
            path, family = waiting.pop()
            if family is None:
                folder = self._walks[0].list(path)
                self._outside_images |= folder.outside
                self._similar.update(_similar(folder, self._similar))
                waiting += sorted(
                    [*((f"{path}{name}/", None) for name in folder.folders), *self._match(folder)],
                    key=lambda pair: pair[0],
                    reverse=True,
                )
            else:
                row = self._row(path, family)
                if row is not None:
                    yield row
        for pool in self._texts.values():
            for text in filter(self._is_chosen, _unpacked(pool)):
                self._notes.add(Finding("missing_image", text))

    def findings(self) -> list[Finding]:
        """All findings, to be called after the last row."""
        walked = dict.fromkeys(finding for walk in self._walks for finding in walk.findings)
        chosen = (finding for finding in walked if self._is_chosen(f"{finding.path}/"))
        found = [*self._notes.findings(), *chosen, *self._ignored.findings()]
        if self._others:
            found.append(other_splits(self._others, self._chosen))
        return [*found, *self._splits.findings]

    def _is_chosen(self, path: str) -> bool:
        return self._splits.keeps(path, self._chosen)

    def _list_texts(self) -> dict[str, list[tuple[str, str]]]:
        """The caption files of each folder, by the folder's name without case.

        The names of a folder are joined to one text, since a million `str` need much memory.
        """
        walk = Walk(self._captions, self._settings.links)
        self._walks.append(walk)
        texts: dict[str, list[tuple[str, str]]] = {}
        for folder in walk.folders():
            self._outside_texts |= folder.outside
            names = [name for name in folder.files if self._is_text(name)]
            images = filter(folders.is_image, folder.files) if self._is_same_folder else ()
            self._ignore(folder, [*names, *images])
            if names:
                pool = texts.setdefault(folders.folded(folder.path), [])
                pool.append((folder.path, "\0".join(names)))
        return texts

    def _is_text(self, name: str) -> bool:
        return name.lower().endswith(self._extensions)

    def _ignore(self, folder: Folder, used: list[str]) -> None:
        self._ignored.hide(folder.hidden)
        if len(used) < len(folder.files):
            for name in sorted(set(folder.files).difference(used)):
                self._ignored.add(folder.path + name)

    def _match(self, folder: Folder) -> list[tuple[str, Family]]:
        """The images of a folder with clear captions, or without captions, with their files."""
        names = [name for name in folder.files if folders.is_image(name)]
        if not self._is_same_folder:
            self._ignore(folder, names)
        images = [folder.path + name for name in names]
        found = siblings(images, self._texts_of(folder.path) if images else [])
        for text in sorted(filter(self._is_chosen, found.orphans)):
            self._notes.add(Finding("missing_image", text, found.orphans[text]))
        if found.masks:
            self._notes.add(Finding("mask", found.masks[0], "", len(found.masks)))
        return [
            (image, family)
            for family in found.families
            for image in family.images
            if self._is_wanted(image) and self._is_clear(family, image)
        ]

    def _is_wanted(self, image: str) -> bool:
        wanted = self._is_chosen(image)
        if not wanted and image not in self._splits.refused:
            self._others.append(image)
        return wanted

    def _texts_of(self, path: str) -> list[str]:
        """Takes the caption files of the folder with the same name as a folder of images."""
        pool = self._texts.get(folders.folded(path), [])
        name = folders.canonical(path)
        if any(map(self._holds_images, self._similar.get(path, ()))):
            taken = [entry for entry in pool if entry[0] == path]
        else:
            taken = [entry for entry in pool if folders.canonical(entry[0]) == name] or pool[:]
        for entry in taken:
            pool.remove(entry)
        return list(_unpacked(taken))

    def _holds_images(self, path: str) -> bool:
        try:
            with os.scandir(os.path.join(self._images, path)) as entries:
                return any(folders.is_image(entry.name) for entry in entries)
        except OSError:
            return False

    def _is_clear(self, family: Family, image: str) -> bool:
        """Whether it is clear which captions an image has; if not, adds a finding."""
        texts = [text for group in family.groups for text in group]
        if not texts or (len(family.images) == 1 and all(map(_have_own_ends, family.groups))):
            return True
        files, more = [*family.images, *texts], ""
        if len(files) > _SHOWN:  # each image has a finding of its own
            files, more = [*texts, *family.images], f", ... ({len(files):,} in all)"
        shown = ", ".join(map(repr, files[:_SHOWN]))
        self._notes.add(Finding("ambiguous", image, f"the same name: {shown}{more}"))
        return False

    def _row(self, image: str, family: Family) -> Row | None:
        if image in self._outside_images:
            detail = outside_detail(self._outside_images[image])
            self._notes.add(Finding("outside", image, detail))
            return None
        if not family.groups:
            return self._fill("missing_caption", image, "")
        own = folders.stem(image)
        for text in (text for group in family.groups for text in group):
            stem = folders.stem(text)
            if own not in (stem, NUMBER.sub("", stem)):
                self._notes.add(Finding("name_mismatch", image, f"caption file {text!a}"))
        read = [self._captions_of_group(image, group) for group in family.groups]
        if None in read:
            return None
        captions, others = with_text(caption for found in read for caption in found or ())
        for other in others if captions else ():
            self._notes.count("blank_caption", why_without_text([other]), image)
        if not captions:
            used = ", ".join(repr(group[0]) for group in family.groups)
            return self._fill("empty_caption", image, f"{used} {why_without_text(others or [''])}")
        if family.gaps:
            missing = ", ".join(map(str, family.gaps[:_SHOWN]))
            self._notes.add(Finding("missing_number", image, f"no caption file numbered {missing}"))
        for finding in repeated(image, captions):
            self._notes.add(finding)
        return Row(image, captions)

    def _captions_of_group(self, image: str, group: list[str]) -> list[str] | None:
        """The captions in the first file of a group; None, and a finding, if they are not clear."""
        if len(group) == 1:
            return self._read(image, group[0])
        group.sort(key=lambda text: self._extensions.index(folders.extension(text)))
        if self._settings.extensions is not None:
            for text in group[1:]:
                self._ignored.add(text)
            return self._read(image, group[0])
        read = [self._read(image, text) for text in group]
        if None in read:
            return None
        for other, captions in zip(group, read, strict=True):
            if captions != read[0]:
                detail = (
                    f"{group[0]!r} and {other!r} differ; extensions=({folders.extension(other)!r}, "
                    f"{folders.extension(group[0])!r}) uses the first one"
                )
                self._notes.add(Finding("disagreement", image, detail))
                return None
        return read[0]

    def _read(self, image: str, text: str) -> list[str] | None:
        """The captions in one file; None, and a finding, if it cannot be read."""
        if text in self._outside_texts:
            detail = f"caption file {text!r}: {outside_detail(self._outside_texts[text])}"
            self._notes.add(Finding("outside", image, detail))
            return None
        try:
            path = os.path.join(self._captions, text)
            with open(path, "rb", buffering=0, opener=_open_without_blocking) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise OSError("not a regular file")
                content = file.read()
            decoded, note = self._settings.decoder.decode(content)
        except UnicodeDecodeError as err:
            self._notes.add(Finding("encoding", image, f"{text!r}: {explain(err)}"))
            return None
        except OSError as err:
            self._notes.add(Finding("unreadable", text, err.strerror or str(err)))
            return None
        if note is not None:
            self._notes.add(Finding("coerced", text, note))
        captions, how = split_captions(decoded, self._settings.lines)
        if how is not None:
            self._notes.count("several_lines", READ_AS[how], text)
        return captions

    def _fill(
        self, kind: Literal["missing_caption", "empty_caption"], image: str, detail: str
    ) -> Row | None:
        text = self._problems.fill(kind, image)
        if text is None:
            self._notes.add(Finding(kind, image, detail))
            return None
        self._notes.add(Finding("filled", image, repr(text)))
        return Row(image, [text])


def _similar(folder: Folder, known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """For subfolders of a folder, others that differ only by case or Unicode form.

    If those hold images too, captions must be in a folder with exactly the same name.
    """
    found: dict[str, list[str]] = {}
    for names in index(folder.folders, folders.folded).values():
        for name in names:
            others = [f"{folder.path}{other}/" for other in names if other != name]
            others += [f"{other}{name}/" for other in known.get(folder.path, ())]
            if others:
                found[f"{folder.path}{name}/"] = others
    return found


def _have_own_ends(group: list[str]) -> bool:
    return len(group) == 1 or len(set(map(folders.extension, group))) == len(group)


def _open_without_blocking(path: str, flags: int) -> int:
    """Opens a file without blocking; else a pipe would wait for its writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _unpacked(pool: list[tuple[str, str]]) -> Iterator[str]:
    for path, names in pool:
        yield from (path + name for name in names.split("\0") if name)


def _is_extension(end: str) -> bool:
    return len(end) > 1 and os.path.splitext("a" + end)[1] == end and not folders.is_image(end)


def _weights(
    pairs: Pairs, repeats: bool | Literal["auto"]
) -> tuple[NDArray[np.float32] | None, list[Finding]]:
    """The weight of each row from the name of its first folder; a notice for each such folder."""
    if not repeats:
        return None, []
    found: dict[str, int] = {}
    weights = np.ones(len(pairs), np.float32)
    for row, image in enumerate(pairs.images):
        folder = image.partition("/")[0] if "/" in image else ""
        named = _REPEATS.fullmatch(folder)
        if named:
            weights[row] = int(named[1])
            found[folder] = found.get(folder, 0) + 1
        elif repeats == "auto":
            return None, []
    if not found:
        return None, []
    return weights, [
        Finding(
            "repeats",
            folder,
            f"used as loss weight {folder.partition('_')[0]}, not as repeats per epoch; "
            "repeats=False ignores it",
        )
        for folder in sorted(found)
    ]
