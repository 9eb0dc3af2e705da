"""`Pairs`: one row per image, with all its captions, in columns."""

import array
import dataclasses
import functools
import hashlib
import html
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmdata.files.blobs import Blobs
from mmdata.files.links import Links
from mmdata.files.scan import Scan
from mmdata.files.scan import scan as scan_files
from mmdata.pairs import columns, splits
from mmdata.pairs.columns import Column
from mmdata.pairs.findings import Finding, PairingReport
from mmdata.pairs.split_names import split_name
from mmdata.pairs.strings import Strings, StringsWriter

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import StrPath


class Row(NamedTuple):
    """An image and its captions, before they are packed into `Pairs`."""

    image: str
    captions: Sequence[str]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Images and their captions: what `mmdata.read` returns and `mmdata.build` takes.

    A row is an image with all its captions; a pair is an image with one of them. `len(pairs)`
    counts rows. Holds names and captions only; `split` and `scanned` read the first and last bytes
    of each image, and decode no image.

    Attributes:
      root: The folder of images.
      images: Paths relative to `root`, one per row, sorted.
      captions: All captions, row by row.
      offsets: int64 [rows + 1]; the captions of row i are `captions[offsets[i]:offsets[i + 1]]`.
      split_names: Names that `split_of` indexes; empty if nothing was split. Aliases become
        "train", "validation" and "test", as in every source.
      split_of: int8 [rows], the row's split, -1 for no split; None if nothing was split.
      weights: float32 [rows], how much a row counts in training; None if all count the same.
      columns: Further values by name: int64, float64 or bool [rows], or a text for each row.
      classes: The names of columns of labels, in the order of their numbers.
      blobs: Positions of the images in tar shards; None if they are files.
      links: Whether symbolic links out of `root` were followed, see `mmdata.read`.
      report: What paired, what did not, and why.
      scan: Headers and content keys of the images; None until they are needed.
      fix_text: Whether ftfy repaired captions when they were read; see `mmdata.read`.
    """

    root: str
    images: Strings
    captions: Strings
    offsets: NDArray[np.int64]
    split_names: tuple[str, ...] = ()
    split_of: NDArray[np.int8] | None = None
    weights: NDArray[np.float32] | None = None
    columns: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    blobs: Blobs | None = None
    links: Links = "inside"
    report: PairingReport
    scan: Scan | None = None
    fix_text: bool = False

    @classmethod
    def of_rows(
        cls, root: str, rows: Iterable[Row], *, layout: str, findings: Sequence[Finding] = ()
    ) -> "Pairs":
        """Builds `Pairs` from rows in the order of their paths, one at a time.

        `findings` is read after the last row, so `rows` may still add to it.
        """
        images, captions, offsets = StringsWriter(), StringsWriter(), array.array("q", [0])
        for row in rows:
            images.extend((row.image,))
            captions.extend(row.captions)
            offsets.append(len(captions))
        return cls(
            root=root,
            images=images.strings(),
            captions=captions.strings(),
            offsets=np.array(offsets, np.int64),
            report=PairingReport(layout, len(images), len(captions), tuple(findings)),
        )

    def __post_init__(self) -> None:
        names = tuple(dict.fromkeys(map(split_name, self.split_names)))
        if names != self.split_names and self.split_of is not None:
            places = [names.index(split_name(name)) for name in self.split_names]
            object.__setattr__(self, "split_of", np.array([*places, -1], np.int8)[self.split_of])
            object.__setattr__(self, "split_names", names)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def pair_count(self) -> int:
        """Number of (image, caption) pairs, over all rows."""
        return len(self.captions)

    def path(self, row: int) -> str:
        """The image file of a row, as `open` takes it; inside a shard, only a name to show."""
        return os.path.join(self.root, self.images[row])

    @property
    def paths(self) -> list[str]:
        """The image file of every row, see `path`."""
        return [os.path.join(self.root, image) for image in self.images]

    def open(self, row: int) -> BinaryIO:
        """Opens the image of a row for reading, a file or a member of a shard."""
        return open(self.path(row), "rb") if self.blobs is None else self.blobs.open(row)

    def captions_of(self, row: int) -> list[str]:
        """All captions of a row."""
        row = range(len(self))[row]
        return self.captions[int(self.offsets[row]) : int(self.offsets[row + 1])]

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that training uses: names, contents, captions, splits, weights, columns.

        Covers the length, the first 4 KiB and the last 4 KiB of each image file; all bytes for
        formats that may hold uncompressed pixels, such as BMP and TIFF. So it does not notice if a
        file of another format changes in the middle only, and keeps its length. A cache does.

        Does not depend on the folder of the images, nor on their times. Scans the images if that
        was not done before; a file with unchanged length, times and inode is not read again.
        """
        digest = hashlib.blake2b(digest_size=16)
        scan, _ = self.scanned()
        parts: list[Any] = [self.images, self.captions, self.offsets, scan.keys]
        parts += [None if self.split_of is None else self.split_labels, self.weights]
        parts += [part for name in sorted(self.columns) for part in (name, self.columns[name])]
        for part in parts:
            _digest(digest, part)
        return digest.hexdigest()

    def to_pandas(self) -> "pd.DataFrame":
        """A table, one row per image.

        Columns: image (path), captions (list); split and weight if there are any; the further
        columns, except those with these names; height, width (pixels as stored) and problem (why it
        cannot be decoded, or "") if the images were scanned and no further column has that name.
        """
        import pandas as pd

        table: dict[str, object] = {
            "image": pd.Series(self.paths, dtype=object),  # names may not be UTF-8
            "captions": [self.captions_of(row) for row in range(len(self))],
        }
        if self.split_of is not None:
            table["split"] = pd.Series(self.split_labels, dtype=object)
        if self.weights is not None:
            table["weight"] = self.weights
        for name, column in self.columns.items():
            table.setdefault(name, columns.values(column))
        if self.scan is not None:
            table.setdefault("height", self.scan.heights)
            table.setdefault("width", self.scan.widths)
            problems = [self.scan.problems.get(row, "") for row in range(len(self))]
            table.setdefault("problem", problems)
        return pd.DataFrame(table)

    @property
    def split_labels(self) -> list[str | None]:
        """The split of each row; None if it is in no split."""
        if self.split_of is None:
            return [None] * len(self)
        names = (*self.split_names, None)
        return [names[place] for place in self.split_of.tolist()]

    @property
    def splits_in_use(self) -> list[str]:
        """The names of the splits that have rows, in the order of `split_names`."""
        if self.split_of is None:
            return []
        return [self.split_names[place] for place in np.unique(self.split_of) if place >= 0]

    def split(
        self,
        ratios: Mapping[str, float] | None = None,
        *,
        groups: str | None = None,
        near_duplicates: bool = False,
    ) -> "Pairs":
        """Assigns every image to a split by the content of its file.

        All captions of an image, all copies of a file and each group get the same split. Adding
        files moves no other file, unless they join two groups. Pairs that are split already, e.g.
        by their source, keep their splits; `drop("split")` removes them.

        Args:
          ratios: Share of the groups for each split, by its name; each above 0, with sum 1. None
            means 0.8 "train", 0.1 "validation", 0.1 "test".
          groups: A column whose equal values stay together, e.g. a photographer or a scene.
          near_duplicates: Whether images that look alike also stay together: those whose
            perceptual hashes differ in few bits. Decodes every image; needs `pip install
            "mmdata[duplicates]"`.

        Returns:
          The same rows, with `split_of` filled.

        Raises:
          ValueError: A ratio is not above 0, the ratios do not add up to 1, a split is empty,
            there is no such column, or an argument is given and the pairs are split already.
        """
        if self.split_of is not None:
            if ratios is not None or groups is not None or near_duplicates:
                raise ValueError(
                    f"Pairs.split(...) needs pairs without splits; got the splits "
                    f'{list(self.split_names)}. Pairs.drop("split") removes them.'
                )
            return self
        scan, pairs = self.scanned()
        groupings = [scan.keys]
        if groups is not None:
            groupings.insert(0, self._groups(groups, scan.keys))
        if near_duplicates:
            from mmdata.pairs.near_duplicates import clusters

            groupings.append(clusters(self.open, len(self)))
        shares = splits.DEFAULT if ratios is None else ratios
        names, split_of = splits.assign(splits.group_keys(groupings), shares)
        return dataclasses.replace(pairs, split_names=names, split_of=split_of)

    def _groups(self, name: str, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Hashes of a column; a row without a value is a group by itself."""
        column = self._column(name, "groups")
        missing = [value == "" or value != value for value in columns.values(column)]
        return np.where(missing, keys, splits.hashes(column))

    def leaks(self) -> list[Finding]:
        """Every image, by content, and every caption that occurs in more than one split.

        Empty if nothing was split. Captions are compared without case and white space.
        """
        if self.split_of is None:
            return []
        scan, _ = self.scanned()
        return splits.leaks(
            self.split_of, self.split_names, self.images, scan.keys, self.captions, self.offsets
        )

    def scanned(self) -> tuple[Scan, "Pairs"]:
        """The scan of the images, made now if there is none, and the pairs that hold it.

        The report then lists images that must not be decoded, and copies of other images.
        """
        if self.scan is not None:
            return self.scan, self
        scan = scan_files(self.root, list(self.images), self.blobs)
        return scan, self.with_scan(scan)

    def with_scan(self, scan: Scan) -> "Pairs":
        """The pairs with another scan, and with its findings in the report."""
        findings = [f for f in self.report.findings if f.kind not in ("corrupt", "duplicate_image")]
        corrupt = scan.problems.items()
        findings += [Finding("corrupt", self.images[row], why) for row, why in corrupt]
        findings += splits.duplicates(self.images, scan.keys)
        report = dataclasses.replace(self.report, findings=tuple(findings))
        return dataclasses.replace(self, scan=scan, report=report)

    @property
    def corrupt(self) -> list[Finding]:
        """The findings about images that cannot be decoded."""
        return [found for found in self.report.findings if found.kind == "corrupt"]

    def subset(self, split: str) -> "Pairs":
        """The rows of one split.

        Raises:
          ValueError: There is no such split.
        """
        name = split_name(split) if isinstance(split, str) else split
        if self.split_of is None or name not in self.split_names:
            raise ValueError(
                f"split=... must be one of {list(self.split_names)}; got {split!r}. "
                "Pairs.split({...}) makes splits with other names."
            )
        return self.take(np.flatnonzero(self.split_of == self.split_names.index(name)))

    def with_split(self, name: str) -> "Pairs":
        """The same rows, all in one split, instead of the splits that they have.

        Raises:
          ValueError: `name` is not the name of a split.
        """
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"Pairs.with_split(...) takes the name of a split; got {name!r}.")
        return dataclasses.replace(
            self, split_names=(split_name(name),), split_of=np.zeros(len(self), np.int8)
        )

    def filter(self, keep: Callable[["pd.DataFrame"], ArrayLike] | ArrayLike) -> "Pairs":
        """The rows for which `keep` is true.

        Args:
          keep: bool [rows], or a function that computes it from `to_pandas()`.

        Raises:
          ValueError: `keep` is not one bool per row.

        >>> pairs.filter(lambda frame: frame.captions.str.len() >= 5)  # doctest: +SKIP
        """
        kept = np.asarray(keep(self.to_pandas()) if callable(keep) else keep)
        if kept.shape != (len(self),) or (kept.size and kept.dtype != np.bool_):
            raise ValueError(
                f"Pairs.filter(...) takes one bool for each of {len(self):,} rows; got "
                f"{kept.dtype} {list(kept.shape)}."
            )
        return self.take(np.flatnonzero(kept))

    def sample(self, count: int, *, seed: int = 0) -> "Pairs":
        """`count` random rows, in their order; all rows if there are fewer.

        Raises:
          ValueError: `count` is below 0.
        """
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"Pairs.sample(...) takes an int of at least 0; got {count!r}.")
        rows = np.random.default_rng(seed).permutation(len(self))[:count]
        return self.take(np.sort(rows))

    def take(self, rows: NDArray[np.integer[Any]]) -> "Pairs":
        """The rows at `rows`, ints [k], in that order.

        Raises:
          ValueError: `rows` are not ints; `filter` takes bools.
          IndexError: There is no such row.
        """
        given = np.asarray(rows)
        if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
            raise ValueError(f"Pairs.take(...) takes ints [k]; got {given.dtype} {given.shape}.")
        places = np.arange(len(self))[given.astype(np.int64)]
        counts = np.diff(self.offsets)[places]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shift = np.repeat(self.offsets[places] - offsets[:-1], counts)
        captions = self.captions.take(np.arange(offsets[-1]) + shift)
        return dataclasses.replace(
            self,
            images=self.images.take(places),
            captions=captions,
            offsets=offsets,
            split_of=None if self.split_of is None else self.split_of[places],
            weights=None if self.weights is None else self.weights[places],
            columns={name: columns.take(kept, places) for name, kept in self.columns.items()},
            blobs=None if self.blobs is None else self.blobs.take(places),
            scan=None if self.scan is None else self.scan.take(places),
            report=PairingReport(
                self.report.layout, len(places), len(captions), self._findings(places)
            ),
        )

    def _findings(self, rows: NDArray[np.int64]) -> tuple[Finding, ...]:
        """The findings, without those of images that are not among `rows`."""
        named = {finding.path for finding in self.report.findings if finding.count == 1}
        kept = np.zeros(len(self), np.bool_)
        kept[rows] = True
        dropped = {
            image for row, image in enumerate(self.images) if image in named and not kept[row]
        }
        return tuple(found for found in self.report.findings if found.path not in dropped)

    def drop(self, *names: str) -> "Pairs":
        """The pairs without the columns of these names; "split" and "weight" count as names.

        Raises:
          ValueError: There is no such column.
        """
        kept, classes = dict(self.columns), dict(self.classes)
        changes: dict[str, Any] = {"columns": kept, "classes": classes}
        for name in names:
            if name == "split":
                changes |= {"split_names": (), "split_of": None}
            elif name == "weight":
                changes["weights"] = None
            elif name not in self.columns:
                raise ValueError(
                    'Pairs.drop(...) must name columns, "split" or "weight"; got '
                    f"{name!r}. The columns are {list(self.columns)}."
                )
            kept.pop(name, None)
            classes.pop(name, None)
        return dataclasses.replace(self, **changes)

    def to_csv(self, path: "StrPath") -> None:
        """Writes a CSV file, one row per caption: file_name, caption, split, weight, columns.

        Checks that `mmdata.read(pairs.root, path)` returns the same pairs before it puts the file
        in place. Pass `caption_column=None` to read pairs without captions, `weight_column=None`
        for pairs without weights, and `links="follow"` if links were followed.

        Raises:
          ValueError: The format cannot hold these pairs, e.g. texts that would read as numbers,
            images with and without captions, or images in shards.
          FileNotFoundError: The folder of images does not exist.
          IsADirectoryError: There is a folder at `path`.
        """
        from mmdata.export import tables

        tables.to_csv(self, path)

    def to_jsonl(self, path: "StrPath") -> None:
        """Writes a JSONL file, one line per image: file_name, captions, split, weight, columns.

        Is written only if it reads back as the same pairs, see `to_csv`.
        """
        from mmdata.export import tables

        tables.to_jsonl(self, path)

    def to_parquet(self, path: "StrPath") -> None:
        """Writes a Parquet file, one row per image: file_name, captions, split, weight, columns.

        Is written only if it reads back as the same pairs, see `to_csv`. Needs `pip install
        "mmdata[parquet]"`.
        """
        from mmdata.export import tables

        tables.to_parquet(self, path)

    def to_sidecar(self, folder: "StrPath", *, lines: Literal["each", "one"] = "each") -> None:
        """Writes one `.txt` file per image into a new folder, in subfolders as the images.

        Is written only if it reads back as the same pairs, see `to_csv`. Copies no image.

        Args:
          folder: The new folder; must not exist, or be empty.
          lines: "each" writes one caption per line; "one" writes one caption per file, which may
            have several lines, and which `mmdata.read(..., lines="one")` reads.

        Raises:
          ValueError: Text files cannot hold these pairs, e.g. columns or splits.
          FileExistsError: `folder` is neither new nor empty.
        """
        from mmdata.export import tables

        tables.to_sidecar(self, folder, lines=lines)

    def to_webdataset(self, folder: "StrPath", *, images_per_shard: int = 1000) -> None:
        """Writes images and captions into tar shards `shard-00000.tar`, ... in a new folder.

        Is written only if it reads back as the same pairs, see `to_csv`. An image `a/b.jpg` is then
        named `shard-00000.tar/a/b.jpg`.
        """
        from mmdata.export import tables

        tables.to_webdataset(self, folder, images_per_shard=images_per_shard)

    def to_croissant(
        self,
        path: "StrPath",
        *,
        name: str | None = None,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - as both formats call it
    ) -> None:
        """Writes Croissant metadata, `croissant.json`, and next to it `croissant.pairs.parquet`.

        `mlcroissant.Dataset(path).records("pairs")` yields one record per row, in order:
        "pairs/file_name", captions, split, weight, columns (names quoted as in URLs), image; texts
        are bytes, NaN is None. `.records("captions")` yields the same without the image,
        `.records("images")` the name and pixels of each image file. Paths are relative, so the
        folder of `path` can be moved, or uploaded, as a whole. Replaces existing files. Needs `pip
        install "mmdata[card]"`.

        Not filled in: creator, url, datePublished, citeAs, version; mlcroissant warns if one of the
        last three or the license is missing.

        mlcroissant holds all decoded images in memory while it yields "pairs", but only one while
        it yields "images". It stops at an image that it cannot decode, and opens formats other than
        JPEG and PNG only in a set that also has JPEG or PNG files.

        Args:
          path: A `.json` file in the folder of images, or in one above it.
          name: Name of the dataset; None is the name of the folder of `path`.
          description: Text; None gives the numbers of images and captions.
          license: Preferably its URL, e.g. from https://spdx.org/licenses; None leaves it out.

        Raises:
          ValueError: Croissant, or Parquet, cannot hold these pairs, e.g. images in shards; or
            `path` is not above the images.
          IsADirectoryError: There is a folder at `path`.

        Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
        """
        from mmdata.export import cards

        cards.to_croissant(self, path, name, description, license)

    def to_card(
        self,
        path: "StrPath",
        *,
        name: str | None = None,
        description: str | None = None,
        license: str | None = None,  # noqa: A002 - as both formats call it
    ) -> None:
        """Writes a card for the Hugging Face Hub, `README.md`: counts, findings, how to load.

        Scans the images. Ends with a list of what to fill in by hand, so it never replaces a file.
        Has no `configs` and no `dataset_info`, which describe files for the Hub's loaders: pairs do
        not know these files.

        Args:
          path: A `.md` file.
          name: Name of the dataset; None is the name of the folder of `path`.
          description: Markdown; None gives the numbers of images and captions.
          license: The Hub's name of it, e.g. "cc-by-4.0"; None is "unknown".

        Raises:
          ValueError: `path` does not end in `.md`.
          FileExistsError: There is a file at `path`.
          IsADirectoryError: There is a folder at `path`.

        Source: https://huggingface.co/docs/hub/datasets-cards
        """
        from mmdata.export import cards

        cards.to_card(self, path, name, description, license)

    def _column(self, name: str, argument: str) -> Column:
        if name not in self.columns:
            raise ValueError(
                f"{argument}=... must be one of the columns {list(self.columns)}; got {name!r}."
            )
        return self.columns[name]

    def __repr__(self) -> str:
        return f"<mmdata.Pairs: {len(self):,} images, {self.pair_count:,} captions, {self.root!r}>"

    def gallery(self, count: int = 8) -> str:
        """HTML that shows `count` images, evenly spaced over the rows, above their captions."""
        from mmdata.pairs import notebook

        shown = range(0, len(self), max(len(self) // max(count, 1), 1))[:count]
        return notebook.gallery(
            (self.images[row], functools.partial(self.open, row), self.captions_of(row))
            for row in shown
        )

    def _repr_html_(self) -> str:
        return f"{self.gallery()}<pre>{html.escape(str(self.report))}</pre>"


def _digest(digest: "hashlib.blake2b", part: Any) -> None:
    if isinstance(part, Strings):
        _digest(digest, part.offsets)
        _digest(digest, part.data)
    elif isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
    else:
        content = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(content).to_bytes(8, "little") + content)
