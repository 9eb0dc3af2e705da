"""The layouts: what reads each, and which arguments of `mmdata.read` it uses.

To add a layout, add a row to `_TABLE`, and its name to `Layout`. An argument that a layout does not
use is refused, so none is ignored.
"""

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mmdata.files.links import Boundary, Links
from mmdata.pairing import recognition
from mmdata.pairing.layouts import (
    LAYOUTS,
    coco,
    documents,
    flickr,
    frames,
    images,
    karpathy,
    shards,
    sidecar,
    tables,
    webdataset,
)
from mmdata.pairing.layouts.documents import Document
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import Listing, concatenated
from mmdata.pairing.matching import match, require_splits
from mmdata.pairing.problems import Problems
from mmdata.pairing.texts import TextDecoder
from mmdata.pairing.tree import Tree
from mmdata.pairs.findings import PairingError
from mmdata.pairs.pairs import Pairs

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
"""Folders that are splits if each has its own metadata. Source: Hugging Face, imagefolder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A source with its layout; a JSON file is already read, to recognise its layout."""

    images: Any
    captions: Any
    layout: str
    document: Document | None = None

    @property
    def links(self) -> Links | None:
        """Follows links if each file is named itself: there is no folder to leave."""
        return None if isinstance(self.images, str) else "follow"

    @property
    def where(self) -> str:
        """The source, for messages."""
        if self.layout == "images":
            is_path = isinstance(self.images, str)
            return repr(self.images) if is_path else f"{len(self.images):,} file(s)"
        both = (self.images, self.images if self.captions is None else self.captions)
        return " and ".join(
            repr(each) if isinstance(each, str) else type(each).__name__ for each in both
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `mmdata.read` that say how a source is read."""

    decoder: TextDecoder
    columns: Columns
    sidecar: sidecar.Settings
    key: shards.Key
    links: Links
    chosen: Collection[str] | None
    problems: Problems


def read_layout(source: Source, options: Options) -> Pairs:
    """Reads a source of any layout."""
    return _TABLE[source.layout].read(source, options)


def require_used(source: Source, given: Mapping[str, Any]) -> None:
    """Raises ValueError for an argument that a layout does not use.

    Args:
      source: What is read.
      given: The arguments of `read` that differ from their defaults. `caption_column=None`, images
        without captions, is used by every layout that does not take image names from captions.
    """
    layout = source.layout
    for name, value in given.items():
        if name == "caption_column" and value is None and layout != "sidecar":
            continue
        if name not in _TABLE[layout].arguments:
            layouts = [repr(other) for other in LAYOUTS if name in _TABLE[other].arguments]
            raise ValueError(
                f"{name}=... is for layout {', '.join(layouts)}; got {value!r} for {source.where}, "
                f"layout {layout!r}. Leave it out, or pass another layout=...."
            )


def _frame(source: Source, options: Options) -> Pairs:
    images, captions = source.images, source.captions
    frame, folder = (images, None) if captions is None else (captions, images)
    return frames.read(
        frame,
        folder,
        columns=options.columns,
        problems=options.problems,
        chosen=options.chosen,
        links=options.links,
    )


def _webdataset(source: Source, options: Options) -> Pairs:
    return webdataset.read(
        source.images,
        decoder=options.decoder,
        lines=options.sidecar.lines,
        key=options.key,
        columns=options.columns,
        extensions=options.sidecar.extensions,
        links=options.links,
        problems=options.problems,
        chosen=options.chosen,
    )


def _sidecar(source: Source, options: Options) -> Pairs:
    require_splits((), options.chosen, "layout 'sidecar'")
    settings = dataclasses.replace(options.sidecar, decoder=options.decoder, links=options.links)
    captions = source.captions or source.images
    return sidecar.read(source.images, captions, problems=options.problems, settings=settings)


def _images(source: Source, options: Options) -> Pairs:
    require_splits((), options.chosen, "layout 'images'")
    return images.read(source.images, links=options.links)


def _coco(source: Source, options: Options) -> Pairs:
    return _match(coco.read(_document(source, options)), source, options)


def _karpathy(source: Source, options: Options) -> Pairs:
    return _match(karpathy.read(_document(source, options)), source, options)


def _flickr(source: Source, options: Options) -> Pairs:
    listing = flickr.read(source.captions, decoder=options.decoder, links=options.links)
    return _match(listing, source, options)


def _document(source: Source, options: Options) -> Document:
    return source.document or documents.load(source.captions, options.decoder)


def _match(listing: Listing, source: Source, options: Options) -> Pairs:
    """Finds the images of a listing."""
    if options.columns.captions is None:
        listing.captions = None
    not_ignored = _caption_files(source.images, source.captions, listing)
    tree = Tree.walk(source.images, not_ignored=not_ignored, links=options.links)
    return match(listing, tree, problems=options.problems, chosen=options.chosen)


def _metadata(source: Source, options: Options) -> Pairs:
    return _match(_tables(source, options), source, options)


def _tables(source: Source, options: Options) -> Listing:
    captions = source.captions
    if captions is not None and os.path.isfile(captions):
        return tables.read(
            captions, columns=options.columns, decoder=options.decoder, document=source.document
        )
    folder = source.images if captions is None else captions
    files = recognition.metadata_files(folder)
    folders_of = [file.rpartition("/")[0] for file in files]
    if not files or len(set(folders_of)) < len(files):
        raise PairingError(
            f"layout='metadata' needs one metadata.csv, .jsonl or .parquet in {folder!r}, or "
            f"in each of its subfolders; got {files}. Pass captions=... to name a file."
        )
    listings = [
        _table_of(folder, file, below, options)
        for file, below in zip(files, folders_of, strict=True)
    ]
    return concatenated(listings)


def _table_of(folder: str, file: str, below: str, options: Options) -> Listing:
    path = os.path.join(folder, file)
    target = Boundary(folder, options.links).outside(path)
    if target is not None:
        raise PairingError(
            f'{path}: a link to {target!r}, outside of {folder!r}. Pass links="follow" to read it.'
        )
    prefix = f"{below}/" if below else ""
    listing = tables.read(path, columns=options.columns, decoder=options.decoder, prefix=prefix)
    if listing.splits is None and below.lower() in _SPLITS:
        listing.splits = [_SPLITS[below.lower()]] * len(listing.names)
    return listing


def _caption_files(images: str, captions: str | None, listing: Listing) -> list[str]:
    """The caption files among the images, relative to their folder."""
    if captions is None:
        return recognition.metadata_files(images)
    files = [captions]
    if os.path.isdir(captions):
        ignored = [finding.path for finding in listing.findings if finding.kind == "ignored"]
        found = [listing.source] if listing.source else recognition.metadata_files(captions)
        files = [os.path.join(captions, file) for file in (*found, *ignored)]
    return [os.path.relpath(file, images).replace(os.sep, "/") for file in files]


@dataclasses.dataclass(frozen=True)
class _Row:
    """A layout.

    Attributes:
      read: Reads a source of this layout.
      arguments: The arguments of `mmdata.read` that it uses.
    """

    read: Callable[[Source, Options], Pairs]
    arguments: frozenset[str]


_TEXT = frozenset({"encoding", "encoding_errors", "links"})
_COLUMNS = frozenset({"image_column", "caption_column", "weight_column"})
_SHARDS = frozenset({"caption_column", "weight_column", "extensions", "lines", "key"})

_TABLE: Mapping[str, _Row] = {
    "sidecar": _Row(_sidecar, _TEXT | {"extensions", "lines", "repeats"}),
    "metadata": _Row(_metadata, _TEXT | _COLUMNS),
    "coco": _Row(_coco, _TEXT),
    "karpathy": _Row(_karpathy, _TEXT),
    "flickr": _Row(_flickr, _TEXT),
    "webdataset": _Row(_webdataset, _TEXT | _SHARDS),
    "frame": _Row(_frame, _COLUMNS | {"links"}),
    "images": _Row(_images, frozenset({"links"})),
}
