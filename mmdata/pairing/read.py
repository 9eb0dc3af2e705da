"""`mmdata.read`: names and captions on disk -> `Pairs`."""

import contextlib
import dataclasses
import gc
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from mmdata.optional import require
from mmdata.pairing import folders, recognition
from mmdata.pairing.findings import PairingError, raise_for
from mmdata.pairing.layouts import coco, flickr, frames, karpathy, sidecar, tables, webdataset
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import IfAny, Listing, concatenated
from mmdata.pairing.matching import match
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import OnProblem, problems_of
from mmdata.pairing.recognition import LAYOUTS, Layout
from mmdata.pairing.strings import Strings
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairing.tree import Tree

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
"""Folders that are splits where each has metadata of its own. Source: Hugging Face, imagefolder."""


def read(
    images: Any,
    captions: Any = None,
    *,
    layout: Literal["auto"] | Layout = "auto",
    split: str | Collection[str] | None = None,
    image_column: str = "auto",
    caption_column: str | Sequence[str] | None = "auto",
    extensions: tuple[str, ...] | None = None,
    lines: Lines = "auto",
    repeats: bool | Literal["auto"] = "auto",
    key: Literal["last_dot", "first_dot"] = "last_dot",
    encoding: str | None = None,
    encoding_errors: Literal["strict", "replace"] = "strict",
    fix_text: bool = False,
    on_problem: OnProblem = "error",
) -> Pairs:
    """Pairs images with captions. Opens caption files, and no image.

    Args:
      images: A folder of images, searched with its subfolders; or tar shards of images and
        captions: a `.tar` file, a folder of them, or a pattern such as "train-{00000..00499}.tar";
        or a DataFrame, or a `datasets.Dataset`, that names image files and holds captions.
      captions: A folder of `.txt` or `.caption` files that match by relative path without
        extension; or a file: COCO captions JSON, Karpathy's JSON, Flickr8k's or Flickr30k's lists,
        or a table (CSV, TSV, JSONL, JSON, Parquet) with a column of images and one of captions; or
        a DataFrame. None where captions lie beside the images: in `.txt` or `.caption` files, or in
        Hugging Face's `metadata.csv`, `.jsonl` or `.parquet`.
      layout: "sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset" or "frame"; "auto"
        looks at the content, and the report says what was recognised.
      split: Splits to keep, of those that the source names; None keeps all. Images of other splits
        are counted, and are no problems. `Pairs.split` makes splits where the source has none.
      image_column: The column of a table that names the images.
      caption_column: Its column of captions, or several; None takes images of tables and shards
        without their captions, as `Classification` needs none.
      extensions: Extensions of caption files, the first found counts; None is ".txt" and
        ".caption", and it is a problem if an image has both and they differ.
      lines: "each" takes every line of a caption file for a caption, "one" the whole file; "auto"
        takes paragraphs of several sentences for one caption. The report counts them.
      repeats: Whether a folder `10_name` gives its images weight 10; "auto" if all are in such.
      key: What the members of a shard share: their name up to the last dot, or to the first.
      encoding: What caption files that are not UTF-8 are read in, e.g. "latin-1"; None refuses
        them, but for UTF-16 and UTF-32 with a byte order mark.
      encoding_errors: "replace" puts U+FFFD for what cannot be decoded. All that is not plain UTF-8
        is in the report.
      fix_text: Whether ftfy repairs captions that were decoded wrongly somewhere, as "cafÃ©" for
        "café", and what else its `fix_text` does. Serving does not do it: `export_preprocessing`
        warns. Needs `pip install "mmdata[text]"`.
      on_problem: "error" raises unless everything pairs; "drop" goes on with what does, and keeps
        the rest in `.report`; a `Problems` says so kind by kind.

    Returns:
      One row an image, sorted by path.

    Raises:
      FileNotFoundError, NotADirectoryError: A path is not there, or not a folder.
      PairingError: Something does not pair and `on_problem` does not allow it; or nothing pairs at
        all; or the source is not of the layout.
      TypeError, ValueError: An argument is of another type, or out of range.
      ImportError: The layout needs a library that is not installed; the message says which.
    """
    problems = problems_of(on_problem)
    ftfy = require("ftfy", extra="text") if fix_text else None
    if layout not in ("auto", *LAYOUTS):
        raise ValueError(f'layout=... must be "auto" or one of {list(LAYOUTS)}; got {layout!r}.')
    if key not in ("last_dot", "first_dot"):
        raise ValueError(f'key=... must be "last_dot" or "first_dot"; got {key!r}.')
    decoder = TextDecoder(encoding, encoding_errors)
    settings = sidecar.Settings(
        extensions=extensions, lines=lines, repeats=repeats, decoder=decoder
    )
    columns = Columns(image=image_column, captions=caption_column)
    chosen = _chosen(split)
    is_table = (image_column, caption_column) != ("auto", "auto")
    images, captions, recognised = _recognised(images, captions, layout, is_table)
    with _without_collection():
        if recognised == "frame":
            frame, folder = (images, None) if captions is None else (captions, images)
            pairs = frames.read(frame, folder, columns=columns, problems=problems, chosen=chosen)
        elif recognised == "webdataset":
            pairs = webdataset.read(
                images,
                decoder=decoder,
                lines=lines,
                key=key,
                problems=problems,
                chosen=chosen,
                with_captions=caption_column is not None,
            )
        elif recognised == "sidecar":
            if chosen is not None and not isinstance(chosen, IfAny):
                raise ValueError(
                    f"split=... takes splits that the source names; got {sorted(chosen)}, and "
                    "layout 'sidecar' names none. Read all, and call Pairs.split()."
                )
            pairs = sidecar.read(images, captions or images, problems=problems, settings=settings)
        else:
            listing = _listing(recognised, images, captions, columns, decoder)
            tree = Tree.walk(images, besides=_besides(images, captions, listing.source))
            pairs = match(listing, tree, problems=problems, chosen=chosen)
        if ftfy is not None:
            # What it leaves nothing of stays as it was: no caption is empty.
            fixed = Strings.of(ftfy.fix_text(caption) or caption for caption in pairs.captions)
            pairs = dataclasses.replace(pairs, captions=fixed, fix_text=True)
    where = " and ".join(
        repr(source) if isinstance(source, str) else type(source).__name__
        for source in (images, images if captions is None else captions)
    )
    problems.check(pairs.report.findings, rows=len(pairs), where=where)
    if not len(pairs):
        raise_for(pairs.report.findings, where=where, nothing_left=True)
        raise PairingError(
            f"images=... must hold image files ({', '.join(folders.DECODED)}) that have captions; "
            f"got none in {where}."
        )
    return pairs


def _chosen(split: Any) -> frozenset[str] | None:
    if split is None or isinstance(split, IfAny):
        return split
    names = (split,) if isinstance(split, str) else split
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"split=... must be a name, several, or None; got {split!r}.")
    return frozenset(names)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Holds back the search for cyclic garbage: there is none, in a million objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _recognised(images: Any, captions: Any, layout: str, is_table: bool) -> tuple[Any, Any, str]:
    """The arguments as paths, where they are, and the layout; checks that the paths exist."""
    if frames.is_frame(images) or frames.is_frame(captions):
        if layout not in ("auto", "frame"):
            raise ValueError(f'layout=... must be "frame" for a frame; got {layout!r}.')
        if frames.is_frame(captions) and not frames.is_frame(images):
            images = os.fspath(images)
            folders.require_folder(images, "images")
        elif captions is not None:
            got = type(captions).__name__
            raise ValueError(f"captions=... must be None beside a frame; got a {got}.")
        return images, captions, "frame"
    for argument, value in (("images", images), ("captions", captions)):
        if not isinstance(value, str | os.PathLike | None):
            raise TypeError(
                f"{argument}=... must be a path, a DataFrame or a datasets.Dataset; got a "
                f"{type(value).__name__}."
            )
    images = os.fspath(images)
    captions = None if captions is None else os.fspath(captions)
    if captions is None and layout in ("auto", "webdataset") and recognition.is_shards(images):
        return images, None, "webdataset"
    folders.require_folder(images, "images")
    if captions is not None:
        folders.require_exists(captions, "captions")
    if captions is not None and os.path.isfile(captions) and folders.is_image(captions):
        raise NotADirectoryError(
            f"captions=... must be a folder or a file of captions; got the image {captions!r}."
        )
    if layout == "auto":
        layout = recognition.recognise(images, captions, is_table=is_table)
    _require_source(layout, captions)
    return images, captions, layout


def _require_source(layout: str, captions: str | None) -> None:
    """Checks that the captions are a folder or a file, as the layout has them."""
    if layout == "webdataset":
        raise ValueError(
            "layout='webdataset' takes images=... as .tar shards, and captions=None; "
            f"got captions={captions!r}."
        )
    if layout == "frame":
        raise ValueError("layout='frame' takes a DataFrame or a Dataset; got paths.")
    if layout == "sidecar" and captions is not None:
        folders.require_folder(captions, "captions")
    if layout in ("coco", "karpathy", "flickr") and captions is None:
        raise ValueError(f"layout={layout!r} needs captions=..., a file; got None.")
    if layout in ("coco", "karpathy") and os.path.isdir(captions or ""):
        raise IsADirectoryError(f"captions=... must be a file; got the folder {captions!r}.")


def _listing(
    layout: str, images: str, captions: str | None, columns: Columns, decoder: TextDecoder
) -> Listing:
    if layout == "coco":
        return coco.read(captions or "")
    if layout == "karpathy":
        return karpathy.read(captions or "")
    if layout == "flickr":
        return flickr.read(captions or "", decoder=decoder)
    return _metadata(images, captions, columns, decoder)


def _metadata(images: str, captions: str | None, columns: Columns, decoder: TextDecoder) -> Listing:
    if captions is not None and os.path.isfile(captions):
        return tables.read(captions, columns=columns, decoder=decoder)
    folder = images if captions is None else captions
    files = recognition.metadata_files(folder)
    folders_of = [file.rpartition("/")[0] for file in files]
    if not files or len(set(folders_of)) < len(files):
        raise PairingError(
            f"layout='metadata' needs one metadata.csv, .jsonl or .parquet in {folder!r}, or in "
            f"each of its subfolders; got {files}. Pass captions=... to name a file."
        )
    listings = [
        tables.read(
            os.path.join(folder, file),
            columns=columns,
            decoder=decoder,
            prefix=f"{below}/" if below else "",
        )
        for file, below in zip(files, folders_of, strict=True)
    ]
    for below, listing in zip(folders_of, listings, strict=True):
        if listing.splits is None and below.lower() in _SPLITS:
            listing.splits = [_SPLITS[below.lower()]] * len(listing.names)
    return concatenated(listings)


def _besides(images: str, captions: str | None, source: str) -> list[str]:
    """The caption files that lie among the images, relative to their folder."""
    if captions is None:
        return recognition.metadata_files(images)
    files = [captions]
    if os.path.isdir(captions):
        found = [source] if source else recognition.metadata_files(captions)
        files = [os.path.join(captions, file) for file in found]
    return [os.path.relpath(file, images).replace(os.sep, "/") for file in files]
