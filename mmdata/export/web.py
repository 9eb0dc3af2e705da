"""`export_web`: datasets as static files that `mmdata.js` reads, in a browser or in Node."""

import json
import os
import pathlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from mmdata.config import task_of
from mmdata.dataset import Dataset
from mmdata.export.web_columns import SplitRows
from mmdata.export.web_settings import (
    require_exportable,
    settings_of,
    too_large_to_shuffle,
    with_counts,
)
from mmdata.export.web_shards import Encoding, Shards
from mmdata.export.web_text import cleaning_json, tokenizer_json
from mmdata.inputs import read_for
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build
from mmdata.progress import progress
from mmdata.storage.manifest import MANIFEST
from mmdata.storage.named_files import NamedFiles, only_writer
from mmdata.storage.web_manifest import (
    WebManifest,
    is_export,
    is_export_file,
    read_web_manifest,
)

if TYPE_CHECKING:
    from _typeshed import StrPath

_WEB = pathlib.Path(__file__).parents[1] / "web"
_PAGE = "index.html"
_TFJS = "tf.min.js"
_PACKAGE = "package.json"


def export_web(
    data: Any,
    folder: "StrPath",
    *,
    encoding: Encoding = "png",
    file_names: bool = False,
    demo: bool = False,
    tfjs: "StrPath | None" = None,
    captions: Any = None,
    split: str | tuple[str, ...] | None = None,
    **arguments: Any,
) -> list[Finding]:
    """Writes datasets as static files, with `mmdata.js`, which reads them in pages and in Node.

    Writes the images of training, before `normalize`: decoded, upright, resized, uint8. Each image
    is written once, with all its captions, token ids and columns. The folder may be public: it has
    no names of files and folders, unless `file_names` is set. The same data give the same bytes.

    With `shuffle="blocks"`, and for PNG files of more than 256 MiB of pixels, a block is a shard of
    the export. The order is that of `Blocks(rows=...)` with the `shard_rows` of the manifest, if no
    copies of a file are merged.

    Replaces an earlier export in one step, and leaves all other files in the folder. Serve the
    folder with any static server, e.g. `python -m http.server`.

    Args:
      data: A `Dataset`; a tuple of them, as `build(split=("train", "validation"))` returns; a dict
        of them by split; or what `build` takes as `images`, e.g. a folder or `Pairs`.
      folder: Where to write.
      encoding: "png" writes many images into one PNG; smaller, and a page can show it. "npy" writes
        uncompressed images, which are read one by one: better for shuffling many images.
      file_names: Whether to write the names of image files too.
      demo: Whether to write `index.html`, a page that shows the data and trains a small model.
      tfjs: TensorFlow.js for this page: the file `tf.min.js` of the npm package
        `@tensorflow/tfjs`.
      captions: See `build`; only if `data` is a path.
      split: The splits to build; None builds all of them. A source without splits is split into
        "train", "validation" and "test", or is only "train" if it has few images. Not for a
        `Dataset`.
      **arguments: Other arguments of `build`, such as `image_size=64`. Not for a `Dataset`.

    Returns:
      The images that cannot be decoded, which `on_problem="drop"` allows: they keep their place,
      black, with weight 0.

    Raises:
      FileExistsError: The folder has a `manifest.json` that is not of an export.
      PairingError: Something does not pair or cannot be decoded; see `build`.
      ValueError: The datasets have what `mmdata.js` does not do, such as `augment` or buckets; or
        splits have different settings; or an argument is out of range.
      OSError: The folder cannot be written to.
    """
    _require_arguments(encoding, demo, tfjs)
    target = pathlib.Path(folder)
    _require_folder(target, demo)
    datasets = _datasets(data, captions, split, arguments)
    for ds in datasets.values():
        require_exportable(ds)
        if ds.pairs.root and target.resolve() == pathlib.Path(ds.pairs.root).resolve():
            raise ValueError(f"{target}: is the folder of the images. Choose another folder.")
    splits = [SplitRows(name, ds) for name, ds in datasets.items()]
    by_blocks = encoding == "png" and too_large_to_shuffle(splits)
    settings = settings_of(splits, by_blocks=by_blocks)
    with only_writer(target):
        files = NamedFiles(target, is_export_file)
        try:
            manifest = _written(files, splits, settings, encoding, file_names)
            _put_modules(files, target, demo, tfjs)
            files.put(MANIFEST, manifest.to_json())
        finally:
            files.close()
            files.remove_others(_names(target))
    return [found for split in splits for found in split.pairs.corrupt]


def _written(
    files: NamedFiles,
    splits: list[SplitRows],
    settings: dict[str, Any],
    encoding: Encoding,
    file_names: bool,
) -> WebManifest:
    total = sum(map(len, splits))
    with progress(total=total, what="exporting images", unit="image") as bar:
        shards = Shards(files, splits, encoding=encoding, file_names=file_names, update=bar.update)
        written = shards.write()
    captions = [sum(s.captions for s in written if s.split == split.name) for split in splits]
    if (name := _put_tokenizer(files, splits[0].ds)) is not None:
        settings = {**settings, "text": {**settings["text"], "tokenizer": name}}
    settings = with_counts(settings, splits, shards.rows, captions)
    return WebManifest.of(settings, shards.columns, tuple(written))


def _put_tokenizer(files: NamedFiles, ds: Dataset) -> str | None:
    """Writes the tokenizer and the cleaning before it; None if JavaScript has no such tokenizer."""
    tokenizer = tokenizer_json(ds.tokenizer) if ds.has_tokens else None
    if tokenizer is None:
        return None
    known = {**tokenizer, "cleaning": cleaning_json(ds.text.cleaner)}
    content = json.dumps(known, sort_keys=True, separators=(",", ":"))
    return files.add("tokenizer", "json", content.encode()).file


def _names(folder: pathlib.Path) -> Collection[str] | None:
    """The files that the manifest in a folder names; None if this version cannot say."""
    try:
        return read_web_manifest(folder).names
    except FileNotFoundError:
        return ()
    except ValueError:
        return None


def _datasets(
    data: Any, captions: Any, split: Any, arguments: dict[str, Any]
) -> dict[str, Dataset]:
    """The datasets by split; builds them if they are not built."""
    given = data if isinstance(data, Mapping) else {}
    datasets = list(given.values()) or (list(data) if isinstance(data, tuple) else [data])
    if not any(isinstance(ds, Dataset) for ds in datasets):
        return _built(data, captions, split, arguments)
    extra = [*arguments, *["captions"] * (captions is not None), *["split"] * (split is not None)]
    if not all(isinstance(ds, Dataset) for ds in datasets) or extra:
        raise TypeError(
            "export_web(data, ...) takes datasets, or what mmdata.build takes, with arguments of "
            f"build; got {[type(ds).__name__ for ds in datasets]} with {extra}."
        )
    names = list(given) or [_name(ds) for ds in datasets]
    if len(set(names)) < len(names):
        raise ValueError(
            f"export_web(data=...) takes one dataset for each split; got the splits {names}. Pass "
            "a dict with other names."
        )
    return dict(zip(names, datasets, strict=True))


def _name(ds: Dataset) -> str:
    """The split that all rows of a dataset are in; "train" if there is no such split."""
    names = ds.pairs.splits_in_use
    return names[0] if len(names) == 1 else "train"


def _built(data: Any, captions: Any, split: Any, arguments: dict[str, Any]) -> dict[str, Dataset]:
    if split is None and isinstance(data, Mapping):
        split = tuple(data)
    elif split is None:
        if not isinstance(data, Pairs):
            task = task_of(arguments.get("task", "captioning"))
            on_problem = arguments.get("on_problem", "error")
            data, captions = read_for(task, data, captions, on_problem=on_problem), None
        data = _in_splits(data)
        split = tuple(data.splits_in_use)
    names = (split,) if isinstance(split, str) else tuple(split)
    datasets = build(data, captions, split=names, **arguments)
    return {_name(ds): ds for ds in datasets}


def _in_splits(pairs: Pairs) -> Pairs:
    """The pairs in splits; all in "train" if they are too few for three splits."""
    try:
        return pairs.split()
    except ValueError:
        return pairs.with_split("train")


def _put_modules(
    files: NamedFiles, target: pathlib.Path, demo: bool, tfjs: "StrPath | None"
) -> None:
    """Writes `mmdata.js` with its modules, and the page if it is wanted."""
    for path in sorted(filter(pathlib.Path.is_file, _WEB.rglob("*"))):
        name = path.relative_to(_WEB).as_posix()
        if name == _PACKAGE and (target / _PACKAGE).exists():  # only Node 18 needs it
            continue
        if demo or not name.startswith("demo/"):
            files.put(_PAGE if path.name == _PAGE else name, path.read_bytes())
    if tfjs is not None:
        files.put(_TFJS, pathlib.Path(tfjs).read_bytes())


def _require_arguments(encoding: str, demo: bool, tfjs: "StrPath | None") -> None:
    if encoding not in ("png", "npy"):
        raise ValueError(f'encoding=... must be "png" or "npy"; got {encoding!r}.')
    if tfjs is not None and not demo:
        raise ValueError(
            f"tfjs=... is for the page that demo=... writes; got {os.fspath(tfjs)!r} without it."
        )
    if tfjs is not None and not os.path.isfile(tfjs):
        raise FileNotFoundError(
            "tfjs=... must be the file tf.min.js of the npm package @tensorflow/tfjs; got "
            f"{os.fspath(tfjs)!r}, which is not a file."
        )


def _require_folder(folder: pathlib.Path, demo: bool) -> None:
    """Raises a FileExistsError if a file is not from an earlier export, and would be replaced."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: must be a folder to write to; got a file.")
    page = folder / _PAGE
    if (folder / MANIFEST).exists() and not is_export(folder):
        strange = folder / MANIFEST
    elif demo and page.exists() and b"demo/demo.js" not in page.read_bytes():
        strange = page
    else:
        return
    raise FileExistsError(
        f"{strange}: is not from an earlier export, so it is not replaced. Choose another folder."
    )
