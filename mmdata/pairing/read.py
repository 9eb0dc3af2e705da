"""`mmdata.read`: names and captions on disk -> `Pairs`."""

import contextlib
import dataclasses
import gc
import inspect
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from mmdata.files.links import Boundary, Links, require_links
from mmdata.optional import require
from mmdata.pairing import folders, recognition
from mmdata.pairing.layout_arguments import require_obeyed
from mmdata.pairing.layouts import (
    LAYOUTS,
    Layout,
    coco,
    documents,
    flickr,
    frames,
    karpathy,
    shards,
    sidecar,
    tables,
    webdataset,
)
from mmdata.pairing.layouts.documents import Document
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import IfAny, Listing, concatenated
from mmdata.pairing.matching import match, require_splits
from mmdata.pairing.problems import OnProblem, Problems, problems_of
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairing.tree import Tree
from mmdata.pairs.findings import PairingError, raise_for
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings

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


def read(
    images: Any,
    captions: Any = None,
    *,
    layout: Literal["auto"] | Layout = "auto",
    split: str | Collection[str] | None = None,
    image_column: str = "auto",
    caption_column: str | Sequence[str] | None = "auto",
    weight_column: str | None = "auto",
    extensions: tuple[str, ...] | None = None,
    lines: Lines = "auto",
    repeats: bool | Literal["auto"] = "auto",
    key: Literal["last_dot", "first_dot"] = "last_dot",
    links: Links = "inside",
    encoding: str | None = None,
    encoding_errors: Literal["strict", "replace"] = "strict",
    fix_text: bool = False,
    on_problem: OnProblem = "error",
) -> Pairs:
    """Pairs images with captions. Opens caption files, but no image.

    Args:
      images: A folder of images, searched with its subfolders; or tar shards of images and
        captions: a `.tar` file, a folder of them, or a pattern such as "train-{00000..00499}.tar";
        or a DataFrame, or a `datasets.Dataset`, that names image files and holds captions.
      captions: A folder of `.txt` or `.caption` files that match by relative path without
        extension; or a file: COCO captions JSON, Karpathy's JSON, Flickr8k's or Flickr30k's lists,
        or a table (CSV, TSV, JSONL, JSON, Parquet) with a column of images and one of captions; or
        a DataFrame. None if captions are next to the images: in `.txt` or `.caption` files, or in
        Hugging Face's `metadata.csv`, `.jsonl` or `.parquet`.
      layout: "sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset" or "frame"; "auto"
        recognises it by the content, and the report names it.
      split: Splits to keep, of those that the source names; None keeps all. Images of other splits
        are counted, and are not problems. `Pairs.split` makes splits if the source has none.
      image_column: The column of a table that names the images.
      caption_column: Its column of captions, or several columns; in shards, the key of the `.json`
        files. None reads images without captions, e.g. for `Classification`.
      weight_column: The column, or key, of weights for the loss; "auto" uses one that is named
        "weight", and reports it; None uses no weights.
      extensions: Extensions of caption files; the first one that an image has is used. None means
        ".txt" and ".caption", in shards also ".text" and ".json"; then it is a problem if an image
        has several files that differ.
      lines: "each" reads every line of a caption file as a caption, "one" the whole file; "auto"
        reads paragraphs of several sentences as one caption. The report counts these files.
      repeats: Whether a folder `10_name` gives its images weight 10; "auto" does if all images are
        in such folders.
      key: What the members of a sample in a shard share: their name up to the last or first dot.
      links: "inside" reads symbolic links that stay in the folder, or in the same repository of
        Hugging Face's cache, and reports others; "follow" reads all. A frame without a folder names
        each file itself, so all links are read.
      encoding: The encoding of caption files that are not UTF-8, e.g. "latin-1"; None refuses them,
        except UTF-16 and UTF-32 with a byte order mark.
      encoding_errors: "replace" writes U+FFFD for bytes that cannot be decoded. The report lists
        every file that is not plain UTF-8.
      fix_text: Whether ftfy repairs captions that were decoded wrongly, e.g. "cafÃ©" for "café",
        with all its other default fixes. Serving does not do this: `export_preprocessing` warns.
        Needs `pip install "mmdata[text]"`.
      on_problem: "error" raises unless everything pairs; "drop" continues with the images that
        pair, and lists the rest in `.report`; a `Problems` decides for each kind of problem.

    Returns:
      One row per image, sorted by path.

    Raises:
      FileNotFoundError, NotADirectoryError: A path does not exist, or is not a folder.
      PairingError: Something does not pair and `on_problem` does not allow it; or nothing pairs; or
        the source does not have the layout.
      TypeError, ValueError: An argument has the wrong type, is out of range, or is for another
        layout.
      ImportError: The layout needs a library that is not installed; the message says which.
    """
    problems = problems_of(on_problem)
    ftfy = require("ftfy", extra="text") if fix_text else None
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(f'layout=... must be "auto" or one of {list(LAYOUTS)}; got {layout!r}.')
    shards.require_key(key)
    require_links(links)
    reading = _Reading(
        decoder=TextDecoder(encoding, encoding_errors),
        columns=Columns(image=image_column, captions=caption_column, weight=weight_column),
        sidecar=sidecar.Settings(extensions=extensions, lines=lines, repeats=repeats),
        key=key,
        links=links,
        chosen=_chosen(split),
        problems=problems,
    )
    source = _source(images, captions, layout, reading)
    given = _given(
        image_column=image_column,
        caption_column=caption_column,
        weight_column=weight_column,
        extensions=extensions,
        lines=lines,
        repeats=repeats,
        key=key,
        links=links,
        encoding=encoding,
        encoding_errors=encoding_errors,
    )
    require_obeyed(source.layout, source.where, given)
    with _without_garbage_collection():
        pairs = dataclasses.replace(reading.pairs(source), links=source.links or links)
        if ftfy is not None:
            pairs = _with_fixed_text(pairs, ftfy)
    problems.check(pairs.report.findings, rows=len(pairs), where=source.where)
    _require_rows(pairs, source.where)
    return pairs


def _with_fixed_text(pairs: Pairs, ftfy: Any) -> Pairs:
    """The pairs with repaired captions; if nothing is left of one, it stays: none is empty."""
    fixed = Strings.of(ftfy.fix_text(caption) or caption for caption in pairs.captions)
    return dataclasses.replace(pairs, captions=fixed, fix_text=True)


def _require_rows(pairs: Pairs, where: str) -> None:
    """Raises PairingError if nothing pairs."""
    if not len(pairs):
        raise_for(pairs.report.findings, where=where, nothing_left=True)
        raise PairingError(
            f"images=... must hold image files ({', '.join(folders.DECODED)}) that have captions; "
            f"got none in {where}."
        )


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments of `read` that differ from their defaults."""
    known = inspect.signature(read).parameters
    return {name: value for name, value in arguments.items() if value != known[name].default}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Source:
    """A source with its layout; a JSON file is already read, to recognise its layout."""

    images: Any
    captions: Any
    layout: str
    document: Document | None = None

    @property
    def links(self) -> Links | None:
        """Follows links if each file is named itself: there is no folder to leave."""
        return "follow" if self.layout == "frame" and self.captions is None else None

    @property
    def where(self) -> str:
        """The source, for messages."""
        both = (self.images, self.images if self.captions is None else self.captions)
        return " and ".join(
            repr(each) if isinstance(each, str) else type(each).__name__ for each in both
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reading:
    """How a source is read."""

    decoder: TextDecoder
    columns: Columns
    sidecar: sidecar.Settings
    key: shards.Key
    links: Links
    chosen: Collection[str] | None
    problems: Problems

    def pairs(self, source: _Source) -> Pairs:
        """Reads a source of any layout."""
        images, captions = source.images, source.captions
        if source.layout == "frame":
            frame, folder = (images, None) if captions is None else (captions, images)
            return frames.read(
                frame,
                folder,
                columns=self.columns,
                problems=self.problems,
                chosen=self.chosen,
                links=self.links,
            )
        if source.layout == "webdataset":
            return webdataset.read(
                images,
                decoder=self.decoder,
                lines=self.sidecar.lines,
                key=self.key,
                columns=self.columns,
                extensions=self.sidecar.extensions,
                links=self.links,
                problems=self.problems,
                chosen=self.chosen,
            )
        if source.layout == "sidecar":
            return self._sidecar(images, captions or images)
        listing = self._listing(source)
        not_ignored = _caption_files(images, captions, listing)
        tree = Tree.walk(images, not_ignored=not_ignored, links=self.links)
        return match(listing, tree, problems=self.problems, chosen=self.chosen)

    def _sidecar(self, images: str, captions: str) -> Pairs:
        require_splits((), self.chosen, "layout 'sidecar'")
        settings = dataclasses.replace(self.sidecar, decoder=self.decoder, links=self.links)
        return sidecar.read(images, captions, problems=self.problems, settings=settings)

    def _listing(self, source: _Source) -> Listing:
        captions, document = source.captions, source.document
        if source.layout == "metadata":
            return self._metadata(source)
        if source.layout == "flickr":
            listing = flickr.read(captions, decoder=self.decoder, links=self.links)
        else:
            document = document or documents.load(captions, self.decoder)
            listing = (coco if source.layout == "coco" else karpathy).read(document)
        if self.columns.captions is None:
            listing.captions = None
        return listing

    def _metadata(self, source: _Source) -> Listing:
        captions = source.captions
        if captions is not None and os.path.isfile(captions):
            return tables.read(
                captions, columns=self.columns, decoder=self.decoder, document=source.document
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
            self._metadata_of(folder, file, below)
            for file, below in zip(files, folders_of, strict=True)
        ]
        return concatenated(listings)

    def _metadata_of(self, folder: str, file: str, below: str) -> Listing:
        path = os.path.join(folder, file)
        target = Boundary(folder, self.links).outside(path)
        if target is not None:
            raise PairingError(
                f'{path}: a link to {target!r}, outside of {folder!r}. Pass links="follow" to '
                "read it."
            )
        prefix = f"{below}/" if below else ""
        listing = tables.read(path, columns=self.columns, decoder=self.decoder, prefix=prefix)
        if listing.splits is None and below.lower() in _SPLITS:
            listing.splits = [_SPLITS[below.lower()]] * len(listing.names)
        return listing


def _chosen(split: Any) -> frozenset[str] | None:
    if split is None or isinstance(split, IfAny):
        return split
    names = (split,) if isinstance(split, str) else split
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"split=... must be a name, several names, or None; got {split!r}.")
    return frozenset(names)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Turns off the search for cyclic garbage: slow with a million objects, and finds none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _source(images: Any, captions: Any, layout: str, reading: _Reading) -> _Source:
    """Turns arguments into paths, checks that they exist, and recognises the layout."""
    if frames.is_frame(images) or frames.is_frame(captions):
        if layout not in ("auto", "frame"):
            raise ValueError(f'layout=... must be "frame" for a frame; got {layout!r}.')
        if frames.is_frame(captions) and not frames.is_frame(images):
            images = os.fspath(images)
            folders.require_folder(images, "images")
        elif captions is not None:
            got = type(captions).__name__
            raise ValueError(f"captions=... must be None if images=... is a frame; got a {got}.")
        return _Source(images=images, captions=captions, layout="frame")
    for argument, value in (("images", images), ("captions", captions)):
        if not isinstance(value, str | os.PathLike | None):
            raise TypeError(
                f"{argument}=... must be a path, a DataFrame or a datasets.Dataset; got a "
                f"{type(value).__name__}."
            )
    images = os.fspath(images)
    captions = None if captions is None else os.fspath(captions)
    if captions is None and layout in ("auto", "webdataset") and recognition.is_shards(images):
        return _Source(images=images, captions=None, layout="webdataset")
    folders.require_folder(images, "images")
    if captions is not None:
        folders.require_exists(captions, "captions")
    if captions is not None and os.path.isfile(captions) and folders.is_image(captions):
        raise NotADirectoryError(
            f"captions=... must be a folder or a file of captions; got the image {captions!r}."
        )
    document = None
    if layout == "auto":
        is_table = reading.columns.names_any
        if captions is not None and captions.lower().endswith(".json") and os.path.isfile(captions):
            document = documents.load(captions, reading.decoder)
            layout = recognition.of_json(document.value, is_table=is_table)
        else:
            layout = recognition.recognise(images, captions, is_table=is_table)
    _require_source(layout, captions)
    return _Source(images=images, captions=captions, layout=layout, document=document)


def _require_source(layout: str, captions: str | None) -> None:
    """Checks that the captions are a folder or a file, as the layout needs."""
    if layout == "webdataset":
        raise ValueError(
            "layout='webdataset' needs .tar shards as images=..., and captions=None; "
            f"got captions={captions!r}."
        )
    if layout == "frame":
        raise ValueError("layout='frame' needs a DataFrame or a Dataset; got paths.")
    if layout == "sidecar" and captions is not None:
        folders.require_folder(captions, "captions")
    if layout in ("coco", "karpathy", "flickr") and captions is None:
        raise ValueError(f"layout={layout!r} needs captions=..., a file; got None.")
    if layout in ("coco", "karpathy") and os.path.isdir(captions or ""):
        raise IsADirectoryError(f"captions=... must be a file; got the folder {captions!r}.")


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
