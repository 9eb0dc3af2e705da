"""Which symbolic links that leave a folder are read."""

import os
from typing import Literal, get_args

Links = Literal["inside", "follow"]


class Boundary:
    """Checks whether a path stays in a folder when its symbolic links are followed.

    A link to a path below the folder stays in it. So does a link in a snapshot of Hugging Face's
    cache to the blobs of the same repository.

    Args:
      root: The folder.
      links: "inside", or "follow" for every link.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache, `snapshots`, `blobs`.
    """

    def __init__(self, root: str, links: Links = "inside") -> None:
        real = os.path.realpath(root)
        above, snapshots, snapshot = real.rpartition(f"{os.sep}snapshots{os.sep}")
        self._roots = [real, os.path.join(above, "blobs")] if snapshots and snapshot else [real]
        self._follows = links == "follow"

    def outside(self, path: str) -> str | None:
        """The target of a path that leaves the folder; None if it stays, or links are followed.

        Args:
          path: As `open` takes it.
        """
        if self._follows:
            return None
        target = os.path.realpath(path)
        return None if any(_is_below(root, target) for root in self._roots) else target


def _is_below(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def outside_detail(target: str) -> str:
    """The detail of a finding about a link that is not followed."""
    return f'a link to {target!r}, outside of the folder; links="follow" reads it'


def require_links(links: object) -> None:
    """Raises ValueError unless `links` is a value of `Links`."""
    if links not in get_args(Links):
        raise ValueError(f"links=... must be one of {list(get_args(Links))}; got {links!r}.")
