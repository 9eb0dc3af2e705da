"""Checks the table of replacements that a SentencePiece model makes in a text before splitting."""

import itertools

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024  # bytes; all children of a unit are in one block
_MOST_NESTED = 32  # rules that are prefixes of a longer one; sentencepiece's limit
_LONGEST = 4096  # bytes per rule


def fault(charsmap: bytes) -> str | None:
    """Why a model's `precompiled_charsmap` is invalid; None if it is valid.

    With a valid charsmap, no text makes sentencepiece read outside of it.

    A charsmap is the size of a trie in 4 bytes; the trie, units of 4 bytes, whose keys are
    replaced; and the replacements, each with a NUL at its end.

    Source: sentencepiece `src/normalizer.cc`, darts-clone `darts.h`, `commonPrefixSearch`.
    """
    if not charsmap:
        return None
    size = int.from_bytes(charsmap[:4], "little")
    trie, texts = charsmap[4 : 4 + size], charsmap[4 + size :]
    if not size or size % _BLOCK or len(trie) < size:
        return (
            f"must begin with a trie whose size is a multiple of {_BLOCK:,} bytes; got {size:,} "
            f"bytes in {len(charsmap):,}"
        )
    if not texts.endswith(b"\0"):
        return "must end in a NUL"
    try:
        texts.decode()
    except UnicodeDecodeError as err:
        return f"must hold texts in UTF-8; got {err}"
    return _fault_of_trie(np.frombuffer(trie, "<u4"), np.frombuffer(texts, np.uint8))


def _fault_of_trie(units: NDArray[np.uint32], texts: NDArray[np.uint8]) -> str | None:
    is_leaf = units >> 31 == 1
    values = units[is_leaf] & 0x7FFFFFFF
    bases = np.arange(len(units)) ^ ((units >> 10) << ((units & 0x200) >> 6))
    ends_rule = ~is_leaf & (units >> 8 & 1 == 1)
    if (values >= len(texts)).any() or (bases[~is_leaf] >= len(units)).any():
        return "must hold a trie whose units point into it and into its texts"
    if (texts[values] & 0xC0 == 0x80).any():
        return "must hold a trie whose units point to where a character begins"
    if not is_leaf[bases[ends_rule]].all():
        return "must hold a trie with a text for each rule"
    return _fault_of_paths(bases, np.where(is_leaf, -1, units & 0xFF), ends_rule)


def _fault_of_paths(
    bases: NDArray[np.int64], labels: NDArray[np.int64], ends_rule: NDArray[np.bool_]
) -> str | None:
    """Follows all paths from the root at once, one byte per step.

    Args:
      bases: int64 [n]; the next units on the path are at this index XOR their own label.
      labels: int64 [n], the byte that leads to each unit; -1 for leaves.
      ends_rule: bool [n].
    """
    parents = np.where(labels < 0, -1, np.arange(len(labels)) ^ labels)
    order = np.argsort(parents)
    parents = parents[order]
    nested = np.full(len(bases), -1)  # the most rules on a path to each unit
    nested[0] = 0
    reached = np.array([0])
    for length in itertools.count():
        if not len(reached):
            return None
        if length > _LONGEST:
            return f"must hold a trie with rules of at most {_LONGEST:,} bytes"
        first = np.searchsorted(parents, bases[reached], "left")
        counts = np.searchsorted(parents, bases[reached], "right") - first
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        units = order[np.repeat(first, counts) + within]
        found = np.repeat(nested[reached], counts) + ends_rule[units]
        more = found > nested[units]
        np.maximum.at(nested, units[more], found[more])
        if nested.max() > _MOST_NESTED:
            return f"must hold a trie with at most {_MOST_NESTED} rules, each a prefix of the next"
        reached = np.unique(units[more])
    return None
