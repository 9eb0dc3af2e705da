"""Finds the file of each name that a caption file lists."""

import dataclasses
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from mmdata.pairing.findings import Finding, Kind
from mmdata.pairing.folders import canonical, folded, stem

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]+://")
_ID = re.compile(r"(?<![0-9])[0-9]{12}$")
"""The zero-padded id at the end of a stem. Source: the names of COCO's files."""
_SHOWN = 5

_HOW = {
    "extension": "matched by a name without extension",
    "id": "matched by id",
    "folder": "matched by file name alone, the folder differs",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """Which name is which file.

    Attributes:
      files: The file of each name that was found.
      refused: Names that are accounted for by a finding.
      ambiguous: Files that are.
      findings: Refusals, and what was matched although it is spelled differently.
    """

    files: dict[str, str]
    refused: set[str]
    ambiguous: set[str]
    findings: list[Finding]


def resolve(names: Mapping[str, str | None], files: Sequence[str]) -> Names:
    """Finds the file of each name.

    A name is a path, equal to the file's in Unicode NFC. Where there is no such file, and the file
    is not another name's, the only file counts that differs by case or slashes, by an extension
    that the name lacks, by the folder, or, last, whose stem ends in the name's id. Every such match
    is reported; where several files or several names would match, none does.

    Args:
      names: Names, each with the 12-digit id of its file, or None.
      files: Paths relative to the folder of images, with `/`.
    """
    found = _Search(names, files)
    found.match_same()
    found.refuse_outside()
    found.match("exact", canonical, plain)
    found.match("case", folded, _slashed)
    found.match("extension", lambda file: folded(stem(file)), _slashed)
    found.match("folder", lambda file: folded(posixpath.basename(file)), _basename)
    found.match("id", _id, lambda name: names[name])
    return found.names()


class _Search:
    def __init__(self, names: Mapping[str, str | None], files: Sequence[str]) -> None:
        self._waiting = dict.fromkeys(names)
        self._free = dict.fromkeys(files)
        self._files: dict[str, str] = {}
        self._refused: set[str] = set()
        self._ambiguous: set[str] = set()
        self._findings: list[Finding] = []

    def names(self) -> Names:
        return Names(
            files=self._files,
            refused=self._refused,
            ambiguous=self._ambiguous,
            findings=self._findings,
        )

    def match_same(self) -> None:
        """Matches names that are files, letter by letter: most, so in no time."""
        for name in list(self._waiting):
            if name in self._free and name.isascii():  # other alphabets may spell one name twice
                self._files[name] = name
                del self._free[name], self._waiting[name]

    def refuse_outside(self) -> None:
        for name in self._waiting:
            why = _why_outside(name)
            if why:
                self._refuse("outside", name, why)
        self._forget()

    def match(
        self,
        how: Literal["exact", "case", "extension", "folder", "id"],
        of_file: Callable[[str], str | None],
        of_name: Callable[[str], str | None],
    ) -> None:
        """Matches what is left of names and files by a key of both."""
        if not self._waiting or not self._free:
            return
        by_key = _grouped(self._free, of_file)
        matched: list[tuple[str, str]] = []
        for key, names in _grouped(self._waiting, of_name).items():
            files = by_key.get(key, [])
            if len(files) == 1 and len(names) == 1:
                matched.append((names[0], files[0]))
            elif files:
                self._clash(names, files)
        for name, file in matched:
            self._files[name] = file
            del self._free[file]
        self._forget()
        self._tell(how, matched)

    def _tell(self, how: str, matched: list[tuple[str, str]]) -> None:
        if how in _HOW and matched:
            name, file = min(matched)
            detail = f"{_HOW[how]}, e.g. {name!a} is {file!a}"
            self._findings.append(Finding("name_mismatch", file, detail, len(matched)))
        elif how not in _HOW:
            different = (pair for pair in matched if pair[0] != pair[1])
            self._findings += [
                Finding("name_mismatch", file, f"listed as {name!a}") for name, file in different
            ]

    def _clash(self, names: list[str], files: list[str]) -> None:
        detail = f"listed as {some(names)}; the same name: {some(files)}"
        self._findings += [Finding("ambiguous", file, detail) for file in files]
        self._ambiguous.update(files)
        self._refused.update(names)
        for file in files:
            del self._free[file]

    def _refuse(self, kind: Kind, name: str, detail: str) -> None:
        self._refused.add(name)
        self._findings.append(Finding(kind, name, detail))

    def _forget(self) -> None:
        done = self._refused | self._files.keys()
        self._waiting = {name: None for name in self._waiting if name not in done}


def _grouped(texts: Iterable[str], key: Callable[[str], str | None]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for text in texts:
        of_text = key(text)
        if of_text:
            grouped.setdefault(of_text, []).append(text)
    return grouped


def plain(name: str) -> str:
    """The name in Unicode NFC, without `./` and `//`."""
    return canonical(posixpath.normpath(name) if "./" in name or "//" in name else name)


def _slashed(name: str) -> str:
    return folded(plain(name.replace("\\", "/")))


def _id(file: str) -> str | None:
    found = _ID.search(stem(file))
    return found[0] if found else None


def _basename(name: str) -> str:
    return folded(posixpath.basename(name.replace("\\", "/")))


def some(names: Collection[str]) -> str:
    """The first five names, for messages, and how many there are if that is more."""
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return ", ".join(map(ascii, sorted(names)[:_SHOWN])) + more


def _why_outside(name: str) -> str | None:
    """Why a name cannot be that of a file below the folder of images; None where it can."""
    if "\0" in name:
        return "a NUL in the name"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "not a relative path"
    parts = name.replace("\\", "/").split("/")
    return "it leaves the folder by '..'" if ".." in parts and _climbs(parts) else None


def _climbs(parts: Sequence[str]) -> bool:
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
