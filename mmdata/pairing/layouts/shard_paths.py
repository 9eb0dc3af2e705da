"""The tar shards of a path: one file, a brace pattern, or a folder of shards."""

import glob
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Sequence

from mmdata.files.links import Boundary, Links, outside_detail
from mmdata.pairing.folders import require_exists
from mmdata.pairs.findings import Finding, PairingError

_MOST_SHARDS = 1_000_000
_WILD = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")


def shards_at(path: str, links: Links = "inside") -> tuple[list[str], list[Finding]]:
    """The shards at a path; and findings about other files in a folder.

    Raises:
      FileNotFoundError: There is no such shard.
      PairingError: A folder has no shards.
      ValueError: A brace pattern is malformed, or `path` names a shard twice.
    """
    if os.path.isdir(path):
        return _shards_in(path, links)
    findings: list[Finding] = []
    if os.path.exists(path):
        shards = [path]
    elif shards := sorted(glob.glob(path)):
        folder = os.path.dirname(_WILD.split(path, maxsplit=1)[0]) or os.curdir
        shards, findings = _inside(folder, shards, links)
    else:
        shards = expand(path)
    for shard in shards:
        require_exists(shard, "images")
    twice = [name for name, count in Counter(map(os.path.realpath, shards)).items() if count > 1]
    if twice:
        raise ValueError(f"images=... must name each shard once; got {twice[0]!r} in {path!r}.")
    return shards, findings


def _shards_in(folder: str, links: Links) -> tuple[list[str], list[Finding]]:
    names = sorted(os.listdir(folder))
    tars = [name for name in names if name.lower().endswith(".tar") and name[0] != "."]
    if not tars:
        raise PairingError(f"A folder of shards must hold .tar files; got none in {folder!r}.")
    others = sorted(set(names).difference(tars))
    findings = [Finding("ignored", others[0], "not a shard", len(others))] if others else []
    shards, outside = _inside(folder, [os.path.join(folder, name) for name in tars], links)
    return shards, findings + outside


def _inside(folder: str, found: list[str], links: Links) -> tuple[list[str], list[Finding]]:
    """The shards in a folder, without links that leave it; and findings about these links."""
    boundary = Boundary(folder, links)
    targets = {shard: boundary.outside(shard) for shard in found}
    outside = [
        Finding("outside", os.path.relpath(shard, folder), outside_detail(target))
        for shard, target in targets.items()
        if target is not None
    ]
    return [shard for shard in found if targets[shard] is None], outside


def labels(shards: list[str]) -> list[str]:
    """The names of shards, with as many folders as are needed to distinguish them."""
    names = [os.path.basename(shard) for shard in shards]
    if len(set(names)) == len(names):
        return names
    whole = [os.path.abspath(shard) for shard in shards]
    common = os.path.commonpath([os.path.dirname(shard) for shard in whole])
    return [os.path.relpath(shard, common).replace(os.sep, "/") for shard in whole]


def expand(path: str) -> list[str]:
    """The names that a brace pattern means, in its order.

    >>> expand("cc3m-{008..010}.tar")
    ['cc3m-008.tar', 'cc3m-009.tar', 'cc3m-010.tar']
    >>> expand("{a,b}-{0..1}.tar")
    ['a-0.tar', 'a-1.tar', 'b-0.tar', 'b-1.tar']

    Raises:
      ValueError: The pattern is malformed, or means more than 1,000,000 names.
    """
    parts = _BRACES.split(path)
    if any("{" in part or "}" in part for part in parts[::2]):
        raise ValueError(
            "A pattern of shards must close each brace, and have no brace inside another; got "
            f"{path!r}."
        )
    groups = [_choices(group, path) for group in parts[1::2]]
    count = math.prod(map(len, groups))
    if count > _MOST_SHARDS:
        raise ValueError(
            f"A pattern must mean at most {_MOST_SHARDS:,} shards; got {count:,} from {path!r}."
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
