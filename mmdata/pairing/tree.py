"""`Tree`: the image files under a folder, and a count of all other files in it."""

import dataclasses
import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from mmdata.files.links import Links
from mmdata.pairing.folders import Walk, extension, is_image
from mmdata.pairs.findings import Finding


class Ignored:
    """Counts the files that are neither image nor caption, by extension."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._hidden = 0

    def add(self, path: str) -> None:
        """Counts one file."""
        end = extension(path)
        self._counts[end] += 1
        self._first.setdefault(end, path)

    def hide(self, count: int) -> None:
        """Counts hidden and system files."""
        self._hidden += count

    def findings(self) -> list[Finding]:
        """One notice per extension, and one for all hidden files."""
        found = [
            Finding("ignored", self._first[end], f"files {end or 'without extension'}", count)
            for end, count in sorted(self._counts.items())
        ]
        if self._hidden:
            found.append(Finding("ignored", ".", "hidden and system files", self._hidden))
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """The image files that names can match.

    Attributes:
      root: The folder that their paths are relative to.
      images: Paths with `/`, sorted.
      outside: Targets of images and folders that leave `root` by a symbolic link, by their paths.
      aliases: Linked folders whose images are listed under other names, see `Walk`.
      findings: Folders that cannot be read, and counts of ignored files.
    """

    root: str
    images: list[str]
    outside: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @classmethod
    def walk(
        cls, root: str, *, not_ignored: Collection[str] = (), links: Links = "inside"
    ) -> "Tree":
        """Lists the images under `root`; paths in `not_ignored` are not counted."""
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
                elif path not in not_ignored:
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
        """A name with linked folders replaced by the folders that they link to."""
        path = posixpath.normpath(name) if self.aliases else name
        found = next((alias for alias in self.aliases if path.startswith(alias)), None)
        return name if found is None else self.aliases[found] + path.removeprefix(found)

    def target_outside(self, path: str) -> str | None:
        """The target of a symbolic link in a path, if it leaves the root; else None."""
        if not self.outside:
            return None
        ends = [place for place, letter in enumerate(path) if letter == "/"]
        return next((to for end in (*ends, None) if (to := self.outside.get(path[:end]))), None)


def index(names: Iterable[str], key: Callable[[str], str | None]) -> dict[str, list[str]]:
    """Groups names by a key; names whose key is None or "" are left out."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        of_name = key(name)
        if of_name:
            grouped.setdefault(of_name, []).append(name)
    return grouped
