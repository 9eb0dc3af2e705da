"""Finds the file of each name that a caption file lists."""

import dataclasses
import functools
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from mmdata.pairing.folders import canonical, folded, is_image, stem
from mmdata.pairing.moved_folders import is_absolute, move_of
from mmdata.pairing.tree import index
from mmdata.pairs.findings import Finding, Kind

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ID = re.compile(r"(?<![0-9])[0-9]{12}$")
"""The zero-padded id at the end of a stem. Source: the names of COCO's files."""
_SHOWN = 5

_HOW = {
    "extension": "matched by a name without extension",
    "id": "matched by id",
    "folder": "matched by file name only, the folder differs",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """Which name is which file.

    Attributes:
      files: The file of each name that was found.
      refused: Names that a finding reports, and that have no file.
      ambiguous: Files that a finding reports as ambiguous.
      findings: Refused names, and matches of names that are spelled differently.
    """

    files: dict[str, str]
    refused: set[str]
    ambiguous: set[str]
    findings: list[Finding]


def resolve(names: Mapping[str, str | None], files: Sequence[str]) -> Names:
    """Finds the file of each name.

    A name is a path, equal to that of its file in Unicode NFC. A name without such a file matches,
    in this order, the only file

    - that differs by case or slashes;
    - that differs by an extension that the name lacks;
    - in another folder, if one change of folder fits all names, see `move_of`;
    - in another folder, by its file name alone;
    - whose stem ends in the name's id, unless the file of a matched name has another id.

    "Only" means among all names and all files, including matched ones: a name whose file is missing
    never gets the file of another name that is not listed. If the folder of a name exists, its file
    must be in it. Every such match is reported. If several files or several names match, and
    nothing distinguishes them, none of them is paired.

    An absolute name, e.g. from another machine, matches only by a change of folder.

    Args:
      names: Names, each with the 12-digit id of its file or None.
      files: Paths relative to the folder of images, with `/`.
    """
    search = _Search(names, files)
    search.match_same()
    search.refuse_outside()
    search.match("exact", canonical, plain)
    search.match("case", folded, _slashed)
    search.match("extension", lambda file: folded(stem(file)), _without_extension)
    search.match_moved()
    search.match("folder", lambda file: folded(posixpath.basename(file)), _basename)
    search.match_ids()
    search.refuse_absolute()
    return search.names()


class _Search:
    def __init__(self, names: Mapping[str, str | None], files: Sequence[str]) -> None:
        self._ids = names
        self._waiting = dict.fromkeys(names)
        self._every_file = files
        self._free = dict.fromkeys(files)
        self._files: dict[str, str] = {}
        self._refused: set[str] = set()
        self._ambiguous: set[str] = set()
        self._findings: list[Finding] = []
        self._has_moved = False

    def names(self) -> Names:
        return Names(
            files=self._files,
            refused=self._refused,
            ambiguous=self._ambiguous,
            findings=self._findings,
        )

    @functools.cached_property
    def _folders(self) -> set[str]:
        return {canonical(posixpath.dirname(file)) for file in self._every_file} - {""}

    def match_same(self) -> None:
        """Matches names that equal their files exactly: most names, at once."""
        for name in list(self._waiting):
            if name in self._free and name.isascii():  # others can have two forms in Unicode
                self._files[name] = name
                del self._free[name], self._waiting[name]

    def refuse_outside(self) -> None:
        for name in self._waiting:
            why = _why_outside(name)
            if why:
                self._refuse("outside", name, why)
        self._update_waiting()

    def match(
        self,
        how: Literal["exact", "case", "extension", "folder", "id"],
        of_file: Callable[[str], str | None],
        of_name: Callable[[str], str | None],
    ) -> None:
        """Matches names and files by a key that no other name and no other file has."""
        waiting = [name for name in self._waiting if not is_absolute(_forward(name))]
        if not waiting or not self._free:
            return
        names_of, files_of = index(waiting, of_name), index(self._free, of_file)
        keys = names_of.keys() & files_of.keys()
        if not keys:
            return
        all_names, all_files = index(self._ids, of_name), index(self._every_file, of_file)
        stems = index(self._ids, _stem) if how == "extension" else {}
        matched: list[tuple[str, str]] = []
        for key in sorted(keys):
            names, files = names_of[key], files_of[key]
            same_key = {*all_names[key], *stems.get(key, ())}
            if len(names) < len(same_key) or len(files) < len(all_files[key]):
                continue  # one is matched already: the others may be missing, or not listed
            if len(names) == len(files) == 1:
                if how in ("exact", "id") or self._may_be_in(names[0], files[0]):
                    matched.append((names[0], files[0]))
            elif min(len(names), len(files)) == 1 and len(names) <= _SHOWN:
                self._report_ambiguous(names, files)
        self._take(how, matched)

    def _may_be_in(self, name: str, file: str) -> bool:
        """Whether the folder of a name is that of the file, or does not exist."""
        folder = canonical(posixpath.dirname(_forward(plain(name))))
        return folder == canonical(posixpath.dirname(file)) or folder not in self._folders

    def match_moved(self) -> None:
        """Matches all names by one change of folder, if none of their files and folders exists."""
        if self._files or not self._waiting or not self._free:
            return
        files_of = index(self._free, canonical)
        paths = {name: canonical(_forward(plain(name))) for name in self._waiting}
        move = move_of(set(paths.values()), files_of)
        if move is None or any(posixpath.dirname(path) in self._folders for path in paths.values()):
            return
        self._has_moved = True
        names_of = index(paths, lambda name: move(paths[name]))
        self._take(
            str(move),
            [
                (names_of[path][0], files_of[path][0])
                for path in names_of.keys() & files_of.keys()
                if len(names_of[path]) == len(files_of[path]) == 1
            ],
        )

    def match_ids(self) -> None:
        """Matches by id, unless a name that was matched by its spelling has another id."""
        if not self._waiting or not self._free:
            return
        spelled = ((_id(file), self._ids[name]) for name, file in self._files.items())
        if all(of_name is None or of_file == of_name for of_file, of_name in spelled):
            self.match("id", _id, lambda name: self._ids[name])

    def refuse_absolute(self) -> None:
        """Refuses absolute names; after a change of folder they are names of missing files."""
        if not self._has_moved:
            for name in self._waiting:
                if is_absolute(_forward(name)):
                    self._refuse("outside", name, "an absolute path outside of the folder")
        self._update_waiting()

    def _take(self, how: str, matched: list[tuple[str, str]]) -> None:
        """Pairs names with files, and reports names that are spelled differently."""
        for name, file in matched:
            self._files[name] = file
            del self._free[file]
        self._update_waiting()
        if how in ("exact", "case"):
            different = (pair for pair in matched if pair[0] != pair[1])
            self._findings += [
                Finding("name_mismatch", file, f"listed as {name!a}") for name, file in different
            ]
        elif matched:
            name, file = min(matched)
            detail = f"{_HOW.get(how, how)}, e.g. {name!a} is {file!a}"
            self._findings.append(Finding("name_mismatch", file, detail, len(matched)))

    def _report_ambiguous(self, names: list[str], files: list[str]) -> None:
        detail = f"listed as {some(names)}; the same name: {some(files)}"
        self._findings += [Finding("ambiguous", file, detail) for file in files]
        self._ambiguous.update(files)
        self._refused.update(names)
        for file in files:
            del self._free[file]

    def _refuse(self, kind: Kind, name: str, detail: str) -> None:
        self._refused.add(name)
        self._findings.append(Finding(kind, name, detail))

    def _update_waiting(self) -> None:
        done = self._refused | self._files.keys()
        self._waiting = {name: None for name in self._waiting if name not in done}


def plain(name: str) -> str:
    """The name in Unicode NFC, without `./` and `//`."""
    return canonical(posixpath.normpath(name) if "./" in name or "//" in name else name)


def _forward(name: str) -> str:
    """The name with `/` only."""
    return name.replace("\\", "/")


def _slashed(name: str) -> str:
    return folded(plain(_forward(name)))


def _without_extension(name: str) -> str | None:
    """The key of a name without the extension of an image; None for other names."""
    return None if is_image(name) else _slashed(name)


def _stem(name: str) -> str | None:
    """The key of a name with the extension of an image, by its stem; None for other names."""
    return stem(_slashed(name)) if is_image(name) else None


def _id(file: str) -> str | None:
    found = _ID.search(stem(file))
    return found[0] if found else None


def _basename(name: str) -> str:
    return folded(posixpath.basename(_forward(name)))


def some(names: Collection[str]) -> str:
    """The first five names, for messages, and the number of names if there are more."""
    more = f", ... ({len(names):,} in all)" if len(names) > _SHOWN else ""
    return ", ".join(map(ascii, sorted(names)[:_SHOWN])) + more


def _why_outside(name: str) -> str | None:
    """Why a name can never be a file below the folder of images; None if it can."""
    if "\0" in name:
        return "a NUL in the name"
    if _URL.match(name):
        return "a URL, not a relative path"
    parts = _forward(name).split("/")
    return "it leaves the folder by '..'" if ".." in parts and _leaves_folder(parts) else None


def _leaves_folder(parts: Sequence[str]) -> bool:
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False
