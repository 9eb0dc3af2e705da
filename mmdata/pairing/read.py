"""`mmdata.read`: names and captions on disk -> `Pairs`."""

import contextlib
import dataclasses
import gc
import glob
import inspect
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from mmdata.files.links import Links, require_links
from mmdata.optional import require
from mmdata.pairing import folders, recognition
from mmdata.pairing.layout_table import Options, Source, read_layout, require_used
from mmdata.pairing.layouts import (
    LAYOUTS,
    Layout,
    documents,
    frames,
    shards,
    sidecar,
)
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import IfAny
from mmdata.pairing.problems import OnProblem, problems_of
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairs.findings import PairingError, raise_for
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings


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
        or a DataFrame, or a `datasets.Dataset`, that names image files and holds captions. For
        images without captions also a file, a pattern such as "photos/*.jpg", or a list of files
        and folders, which keeps its order.
      captions: A folder of `.txt` or `.caption` files that match by relative path without
        extension; or a file: COCO captions JSON, Karpathy's JSON, Flickr8k's or Flickr30k's lists,
        or a table (CSV, TSV, JSONL, JSON, Parquet) with a column of images and one of captions; or
        a DataFrame. None if captions are next to the images: in `.txt` or `.caption` files, or in
        Hugging Face's `metadata.csv`, `.jsonl` or `.parquet`.
      layout: "sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset", "frame" or
        "images"; "auto" recognises it by the content, and the report names it. "images" reads
        images alone, also from shards; caption files beside them are ignored.
      split: Splits to keep, of those that the source names; None keeps all. Images of other splits
        are counted, and are not problems. `Pairs.split` makes splits if the source has none.
      image_column: The column of a table that names the images.
      caption_column: Its column of captions, or several columns; in shards, the key of the `.json`
        files. None reads images without captions, e.g. for `Classification`; without a table,
        that is layout "images".
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
      One row per image, sorted by path, except for a list of files.

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
    if layout == "images" and caption_column == "auto":
        caption_column = None
    options = Options(
        decoder=TextDecoder(encoding, encoding_errors),
        columns=Columns(image=image_column, captions=caption_column, weight=weight_column),
        sidecar=sidecar.Settings(extensions=extensions, lines=lines, repeats=repeats),
        key=key,
        links=links,
        chosen=_chosen(split),
        problems=problems,
    )
    source = _source(images, captions, layout, options)
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
    require_used(source, given)
    with _without_garbage_collection():
        pairs = dataclasses.replace(read_layout(source, options), links=source.links or links)
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
            f"images=... must hold image files ({', '.join(folders.DECODED)})"
            f"{'' if pairs.report.layout == 'images' else ' that have captions'}; got none in "
            f"{where}."
        )


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments of `read` that differ from their defaults."""
    known = inspect.signature(read).parameters
    return {name: value for name, value in arguments.items() if value != known[name].default}


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


def _source(images: Any, captions: Any, layout: str, options: Options) -> Source:
    """Turns arguments into paths, checks that they exist, and recognises the layout."""
    if frames.is_frame(images) or frames.is_frame(captions):
        if layout not in ("auto", "frame", "images"):
            raise ValueError(f'layout=... must be "frame" for a frame; got {layout!r}.')
        if frames.is_frame(captions) and not frames.is_frame(images):
            images = os.fspath(images)
            folders.require_folder(images, "images")
        elif captions is not None:
            got = type(captions).__name__
            raise ValueError(f"captions=... must be None if images=... is a frame; got a {got}.")
        return Source(images=images, captions=captions, layout="frame")
    if captions is None and options.columns.captions is None and layout in ("auto", "images"):
        alone = _images_alone(images, layout)
        if alone is not None:
            return alone
    for argument, value in (("images", images), ("captions", captions)):
        if not isinstance(value, str | os.PathLike | None):
            raise TypeError(
                f"{argument}=... must be a path, a DataFrame or a datasets.Dataset; got a "
                f"{type(value).__name__}."
            )
    images = os.fspath(images)
    captions = None if captions is None else os.fspath(captions)
    if captions is None and layout in ("auto", "webdataset") and recognition.is_shards(images):
        return Source(images=images, captions=None, layout="webdataset")
    folders.require_folder(images, "images")
    if captions is not None:
        folders.require_exists(captions, "captions")
    if captions is not None and os.path.isfile(captions) and folders.is_image(captions):
        raise NotADirectoryError(
            f"captions=... must be a folder or a file of captions; got the image {captions!r}."
        )
    document = None
    if layout == "auto":
        is_table = options.columns.names_any
        if captions is not None and captions.lower().endswith(".json") and os.path.isfile(captions):
            document = documents.load(captions, options.decoder)
            layout = recognition.of_json(document.value, is_table=is_table)
        else:
            layout = recognition.recognise(images, captions, is_table=is_table)
    _require_source(layout, captions)
    return Source(images=images, captions=captions, layout=layout, document=document)


def _images_alone(images: Any, layout: str) -> Source | None:
    """A source of images without captions; None if a table lists them, or for another type."""
    if isinstance(images, list | tuple):
        return Source(images=[os.fspath(path) for path in images], captions=None, layout="images")
    if not isinstance(images, str | os.PathLike):
        return None
    images = os.fspath(images)
    if recognition.is_shards(images):
        return Source(images=images, captions=None, layout="webdataset")
    if not os.path.isdir(images):
        files = [] if os.path.exists(images) else sorted(glob.glob(images, recursive=True))
        if not files:
            folders.require_exists(images, "images")
        return Source(images=files or [images], captions=None, layout="images")
    if layout == "auto" and recognition.metadata_files(images):
        return None
    return Source(images=images, captions=None, layout="images")


def _require_source(layout: str, captions: str | None) -> None:
    """Checks that the captions are a folder or a file, as the layout needs."""
    if layout == "webdataset":
        raise ValueError(
            "layout='webdataset' needs .tar shards as images=..., and captions=None; "
            f"got captions={captions!r}."
        )
    if layout == "images" and captions is not None:
        raise ValueError(
            f"layout='images' reads images alone, so captions=... must be None; got {captions!r}."
        )
    if layout == "frame":
        raise ValueError("layout='frame' needs a DataFrame or a Dataset; got paths.")
    if layout == "sidecar" and captions is not None:
        folders.require_folder(captions, "captions")
    if layout in ("coco", "karpathy", "flickr") and captions is None:
        raise ValueError(f"layout={layout!r} needs captions=..., a file; got None.")
    if layout in ("coco", "karpathy") and os.path.isdir(captions or ""):
        raise IsADirectoryError(f"captions=... must be a file; got the folder {captions!r}.")
