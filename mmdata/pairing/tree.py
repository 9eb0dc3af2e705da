"""`Tree`: the image files under a folder, and a count of everything else that lies there."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from mmdata.pairing.findings import Finding
from mmdata.pairing.folders import Walk, is_image


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
      linked: Those that are reached by a symbolic link below `root`.
      findings: Folders that cannot be read, and how much was ignored.
    """

    root: str
    images: list[str]
    linked: frozenset[str] = frozenset()
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @classmethod
    def walk(cls, root: str, *, besides: Collection[str] = ()) -> "Tree":
        """Lists the images under `root`; paths in `besides` are not counted as ignored."""
        images: list[str] = []
        linked: set[str] = set()
        walk, ignored = Walk(root), Ignored()
        for folder in walk.folders():
            ignored.hide(folder.hidden)
            for name in folder.files:
                path = folder.path + name
                if is_image(name):
                    images.append(path)
                    if folder.linked and folder.linked & {"", name}:
                        linked.add(path)
                elif path not in besides:
                    ignored.add(path)
        findings = walk.findings + ignored.findings()
        return cls(root=root, images=sorted(images), linked=frozenset(linked), findings=findings)

    def leaves(self, image: str) -> str | None:
        """Where an image outside of the root lies, to which a symbolic link leads; else None."""
        if image not in self.linked:
            return None
        target = os.path.realpath(os.path.join(self.root, image))
        root = os.path.realpath(self.root)
        return None if os.path.commonpath([target, root]) == root else target


def index(files: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    """The files by a key."""
    grouped: dict[str, list[str]] = {}
    for file in files:
        grouped.setdefault(key(file), []).append(file)
    return grouped
