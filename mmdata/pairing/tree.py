"""`Tree`: the image files under a folder, and a count of everything else that lies there."""

import dataclasses
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from mmdata.files.links import Links
from mmdata.pairing.folders import Walk, is_image
from mmdata.pairs.findings import Finding


class Ignored:
    """Counts the files that are no image and no caption, by extension, so that none is lost."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._hidden = 0

    def add(self, path: str) -> None:
        """Counts one file."""
        extension = os.path.splitext(path)[1].lower()
        self._counts[extension] += 1
        self._first.setdefault(extension, path)

    def hide(self, count: int) -> None:
        """Counts hidden and system files."""
        self._hidden += count

    def findings(self) -> list[Finding]:
        """One notice an extension, and one for all that is hidden."""
        found = [
            Finding(
                "ignored", self._first[extension], f"files {extension or 'without extension'}", n
            )
            for extension, n in sorted(self._counts.items())
        ]
        if self._hidden:
            found.append(Finding("ignored", ".", "hidden and system files", self._hidden))
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """Image files to choose from.

    Attributes:
      root: The folder that they are relative to.
      images: Paths with `/`, sorted.
      outside: Where images, and folders, lead that leave `root` by a symbolic link.
      aliases: Linked folders whose images are listed under other names, see `Walk`.
      findings: Folders that cannot be read, and how much was ignored.
    """

    root: str
    images: list[str]
    outside: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @classmethod
    def walk(cls, root: str, *, besides: Collection[str] = (), links: Links = "inside") -> "Tree":
        """Lists the images under `root`; paths in `besides` are not counted as ignored."""
        images: list[str] = []
        outside: dict[str, str] = {}
        walk, ignored = Walk(root, links), Ignored()
        for folder in walk.folders():
            ignored.hide(folder.hidden)
            outside |= folder.outside
            for name in folder.files:
                path = folder.path + name
                if is_image(name):
                    images.append(path)
                elif path not in besides:
                    ignored.add(path)
        findings = walk.findings + ignored.findings()
        return cls(
            root=root,
            images=sorted(images),
            outside=outside,
            aliases=walk.aliases,
            findings=findings,
        )

    def unaliased(self, name: str) -> str:
        """A name without the links to folders that are on its way."""
        path = posixpath.normpath(name) if self.aliases else name
        found = next((alias for alias in self.aliases if path.startswith(alias)), None)
        return name if found is None else self.aliases[found] + path.removeprefix(found)

    def leaves(self, path: str) -> str | None:
        """Where a symbolic link leads that is on the way to a path, if it leaves the root."""
        if not self.outside:
            return None
        ends = [place for place, letter in enumerate(path) if letter == "/"]
        return next((to for end in (*ends, None) if (to := self.outside.get(path[:end]))), None)


def index(files: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    """The files by a key."""
    grouped: dict[str, list[str]] = {}
    for file in files:
        grouped.setdefault(key(file), []).append(file)
    return grouped
