"""`Pairs.to_croissant` and `Pairs.to_card`: other tools read the same pairs."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
from collections.abc import Iterator
from typing import Any

import mlcroissant
import numpy as np
import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

import mmdata
from mmdata.export import cards
from mmdata.pairs import columns
from mmdata.pairs.findings import Finding, PairingReport
from mmdata.pairs.pairs import Pairs, Row

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
NFC, NFD = "caf\u00e9", "cafe\u0301"
Path = pathlib.Path
Rows = dict[str, list[str]]


def pairs_of(root: Path, rows: Rows, **values: Any) -> Pairs:
    """Pairs of images that it makes, each of another colour; `values` as `with_values` has them."""
    for number, image in enumerate(sorted(rows)):
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        color = (37 * number % 256, 255 - number, 100)
        suffix = Path(image).suffix.lower()
        form = {".jpg": "JPEG", ".webp": "WebP"}.get(suffix, "PNG")
        Image.new("RGB", (4 + number, 3), color).save(root / image, form)
    made = Pairs.of_rows(str(root), [Row(*row) for row in sorted(rows.items())], layout="sidecar")
    return with_values(made, **values)


def with_values(
    pairs: Pairs,
    splits: list[str | None] | None = None,
    weights: list[float] | None = None,
    **further: list[Any],
) -> Pairs:
    names, split_of = columns.labels(splits or [], np.arange(len(splits or [])))
    packed = {name: columns.column(values) for name, values in further.items()}
    return dataclasses.replace(
        pairs,
        split_names=names,
        split_of=split_of,
        weights=None if weights is None else np.array(weights, np.float32),
        columns={name: column for name, column in packed.items() if column is not None},
    )


# Croissant: what mlcroissant reads.


def records(path: Path, name: str = "pairs") -> list[dict[str, Any]]:
    """What mlcroissant yields, texts as `str`."""
    return [
        {key: text(value) for key, value in record.items()}
        for record in mlcroissant.Dataset(jsonld=path).records(name)
    ]


def text(value: Any) -> Any:
    if isinstance(value, list):
        return [text(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def pixels(image: Any) -> bytes:
    data: bytes = image.convert("RGB").tobytes()
    return b"%d " % image.width + data


def plain_records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records without the name of their set, with pixels instead of pictures."""
    return [
        {
            key.removeprefix("pairs/"): pixels(value) if key == "pairs/image" else value
            for key, value in record.items()
        }
        for record in records
    ]


def wanted(pairs: Pairs) -> list[dict[str, Any]]:
    """What the records must be, by what Pillow and the pairs say; NaN is None there."""
    rows = []
    for row, image in enumerate(pairs.images):
        with pairs.open(row) as file:
            made: dict[str, Any] = {"file_name": image, "image": pixels(Image.open(file))}
        if pairs.pair_count:
            made["captions"] = pairs.captions_of(row)
        if pairs.split_of is not None:
            made["split"] = pairs.split_labels[row]
        if pairs.weights is not None:
            made["weight"] = float(pairs.weights[row])
        for name, column in pairs.columns.items():
            value = columns.values(column)[row]
            quoted = re.sub(
                r"[^\w.~-]",
                lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()),
                name,
                flags=re.ASCII,
            )
            made[quoted] = None if value != value else value
        rows.append(made)
    return rows


def test_the_records_are_the_pairs(tmp_path: Path) -> None:
    for number, file in enumerate(sorted((SAMPLES / "images").rglob("*.*"))):
        if number % 4 == 0:
            copy = tmp_path / "images" / file.relative_to(SAMPLES / "images")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    read = mmdata.read(tmp_path / "images", SAMPLES / "captions", on_problem="drop")
    n = len(read)
    assert n == 160
    pairs = with_values(
        read,
        splits=[(None, "train", "test")[row % 3] for row in range(n)],
        weights=[row / 7 for row in range(n)],
        number=[row * 2**53 + 1 for row in range(n)],
        ratio=[row / 3 if row % 5 else None for row in range(n)],
        even=[row % 2 == 0 for row in range(n)],
        word=[f"{row:03}" for row in range(n)],
    )
    path = tmp_path / "croissant.json"
    pairs.to_croissant(path, license="https://spdx.org/licenses/CC0-1.0")
    assert sorted(os.listdir(tmp_path)) == ["croissant.json", "croissant.pairs.parquet", "images"]
    assert plain_records(records(path)) == wanted(pairs)
    rows = [{f"captions/{key}": row[key] for key in row if key != "image"} for row in wanted(pairs)]
    assert records(path, "captions") == rows
    images = [
        (record["images/file_name"], pixels(record["images/image"]))
        for record in records(path, "images")
    ]
    assert images == [(each["file_name"], each["image"]) for each in wanted(read)]


HARD = {
    f"{NFC}.png": ["NA", "nil"],
    f"x/{NFD}.png": ["007", "1e5"],
    "[a]*?.png": ['say "a"', "it's, \\ {{ x }}"],
    "a\nb.jpg": ["a\nb", "a\rb\0"],
    "x/a b #1%20.JPG": ["\U0001f600 \u202e"],
    "x/y z/a.webp": ["2020-01-01"],
    "x/a.png": ["<b>"],
    "a.png": ["a b c", "a b c"],
}
FURTHER: dict[str, list[Any]] = {
    "date": [f"2020-01-0{n}" for n in range(1, 9)],
    "a b/c:d": ["NA", "", "null", "1", "01", "\n", '"', "\u00e9"],
    "cr:x": [2**62, -1, 0, 1, 2, 3, 4, 5],
    "\u00e9": [0.1, None, -1e300, 1.0, 1e-300, 3.0, 4.0, 5.0],
    "index": [True, False] * 4,
    "modified": [1, 2, 3, 4, 5, 6, 7, 8],
}


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("below", ["", "my (images) [1]+/b.c/"])
def test_hard_names_and_values(tmp_path: Path, below: str, more: bool) -> None:
    pairs = pairs_of(tmp_path / below, HARD, splits=["a/b", None, *["01"] * 6], **FURTHER)
    if more:
        shutil.copyfile(tmp_path / below / "a.png", tmp_path / below / "x" / "more.png")
    path = tmp_path / "my data.json"
    pairs.to_croissant(path, name='x "\u00e9\n', description="<b>")
    assert plain_records(records(path)) == wanted(pairs)
    metadata = mlcroissant.Dataset(jsonld=path).metadata
    assert (metadata.name, metadata.description) == ('x "\u00e9\n', "<b>")


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    rows = {f"{folder}{n}.png": [f"{n}"] for folder in ("", "x/") for n in range(4)}
    pairs = pairs_of(tmp_path / "images", rows)
    path = tmp_path / "croissant.json"
    pairs.to_croissant(path)
    assert includes(path) == ["images/*.png", "images/**/*.png"]
    (tmp_path / "images" / "x" / "broken.png").write_bytes(b"no image")
    (tmp_path / "images" / "broken.txt").write_text("no image")
    some = pairs.take(np.array([1, 6]))
    some.to_croissant(path)
    assert includes(path) == ["images/1.png", "images/x/2.png"]
    assert plain_records(records(path)) == wanted(some)
    assert len(records(path, "images")) == 2


def includes(path: Path) -> list[str]:
    made = json.loads(path.read_text())
    (files,) = (node for node in made["distribution"] if node["@type"] == "cr:FileSet")
    found = files["includes"]
    return found if isinstance(found, list) else [found]


def test_a_messy_folder(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "messy", tmp_path / "messy")
    read = mmdata.read(tmp_path / "messy", on_problem="drop")
    whole = np.array(["download" not in image for image in read.images])
    pairs = read.filter(whole)
    assert 4 < len(pairs) < len(read)
    pairs.to_croissant(tmp_path / "messy" / "croissant.json")
    assert plain_records(records(tmp_path / "messy" / "croissant.json")) == wanted(pairs)
    again = mmdata.read(tmp_path / "messy", on_problem="drop")
    assert list(again.images) == list(read.images)
    assert list(again.captions) == list(read.captions)


def test_images_without_captions_and_one_alone(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, {"a.JPG": []}, label=["x"])
    pairs.to_croissant(tmp_path / "c.json")
    assert plain_records(records(tmp_path / "c.json")) == wanted(pairs)
    assert list(wanted(pairs)[0]) == ["file_name", "image", "label"]


def test_the_folder_can_move_and_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(tmp_path / "old" / "images", {"a.png": ["x"], "b/c.jpg": ["y", "z"]})
    (tmp_path / "link").symlink_to(tmp_path / "old")
    dataclasses.replace(pairs, root=str(tmp_path / "link/images")).to_croissant(
        tmp_path / "link" / "croissant.json"
    )
    before = wanted(pairs)
    (tmp_path / "old").rename(tmp_path / "new")
    assert plain_records(records(tmp_path / "new" / "croissant.json")) == before
    monkeypatch.chdir(tmp_path / "new")
    assert plain_records(records(Path("croissant.json"))) == before
    dataclasses.replace(pairs, root="images").to_croissant("croissant.json")
    assert plain_records(records(Path("croissant.json"))) == before


def test_what_is_left_to_fill_in(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path / "cats", {"a.png": ["x", "y"]})
    path = tmp_path / "cats" / "croissant.json"
    pairs.to_croissant(path)
    metadata = mlcroissant.Dataset(jsonld=path).metadata
    assert (metadata.name, metadata.description) == ("cats", "1 image(s) with 2 caption(s).")
    assert metadata.ctx.issues.errors == set()
    warnings = "".join(sorted(map(str, metadata.ctx.issues.warnings)))
    missing = re.findall(r'/(\w+)" is recommended', warnings)
    assert missing == ["citeAs", "datePublished", "license", "version"]
    pairs.to_croissant(path, license="https://spdx.org/licenses/CC0-1.0")
    metadata = mlcroissant.Dataset(jsonld=path).metadata
    assert metadata.license == ["https://spdx.org/licenses/CC0-1.0"]


def test_a_changed_table_is_an_error(tmp_path: Path) -> None:
    pairs_of(tmp_path, {"a.png": ["x"]}).to_croissant(tmp_path / "c.json")
    table = tmp_path / "c.pairs.parquet"
    made = json.loads((tmp_path / "c.json").read_text())
    (entry,) = (node for node in made["distribution"] if node["@type"] == "cr:FileObject")
    assert entry["contentSize"] == f"{table.stat().st_size} B"
    table.write_bytes(table.read_bytes() + b"\0")
    with pytest.raises(mlcroissant.GenerationError):
        records(tmp_path / "c.json")


# What is refused, and what stays as it was.


def shards(tmp_path: Path) -> Pairs:
    pairs_of(tmp_path / "images", {"a.png": ["x"]}).to_webdataset(tmp_path / "shards")
    return mmdata.read(tmp_path / "shards")


REFUSED: dict[str, tuple[dict[str, Any], str, type[Exception], str]] = {
    "not above the images": (
        {},
        "other/c.json",
        ValueError,
        "in the folder of images or above it",
    ),
    "a folder": ({}, "folder.json", IsADirectoryError, "writes a file; got the folder"),
    "no .json": ({}, "c.jsonld", ValueError, "ends in .json"),
    "a column named image": ({"image": ["x"]}, "c.json", ValueError, "drop('image')"),
    "what Parquet cannot hold": (
        {"weights": [-1.0]},
        "c.json",
        ValueError,
        "c.json: this format cannot hold",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_croissant_refuses(tmp_path: Path, case: str) -> None:
    values, name, error, message = REFUSED[case]
    pairs = pairs_of(tmp_path / "images", {"a.png": ["x"]}, **values)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "other").mkdir()
    before = contents(tmp_path)
    with pytest.raises(error, match=re.escape(message)) as raised:
        pairs.to_croissant(tmp_path / name)
    assert ".mmdata-" not in str(raised.value)
    assert contents(tmp_path) == before


def test_croissant_refuses_shards(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="describes image files; got images in shards"):
        shards(tmp_path).to_croissant(tmp_path / "shards" / "c.json")


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(file): file.read_bytes() if file.is_file() else None for file in folder.rglob("*")}


def fail(*args: object, **options: object) -> None:  # noqa: ARG001 - replaces functions
    raise OSError("disk full")


WRITE = {"c.json": Pairs.to_croissant, "README.md": Pairs.to_card}


@pytest.mark.parametrize("place", [(json, "dumps"), (os, "replace")])
@pytest.mark.parametrize("name", WRITE)
def test_a_failure_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: tuple[Any, str]
) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    for _ in ("nothing there", "older files there")[: 1 if name == "README.md" else 2]:
        before = contents(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(*place, fail)
            with pytest.raises(OSError, match="disk full"):
                WRITE[name](pairs, tmp_path / name)
        assert contents(tmp_path) == before
        WRITE[name](pairs, tmp_path / name)


def test_a_table_of_another_export_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    other = pairs_of(tmp_path, {"a.png": ["y"]})
    real = cards._sha256

    def meanwhile(path: Path) -> str:
        if path == tmp_path / "c.pairs.parquet":  # it is compared at the end
            monkeypatch.setattr(cards, "_sha256", real)
            other.to_parquet(path)
        return real(path)

    monkeypatch.setattr(cards, "_sha256", meanwhile)
    with pytest.raises(OSError, match=r"c\.pairs\.parquet: another export wrote it at the same"):
        pairs.to_croissant(tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()
    pairs.to_croissant(tmp_path / "c.json")
    assert plain_records(records(tmp_path / "c.json")) == wanted(pairs)


def test_croissant_does_not_replace_a_folder(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    pairs.to_croissant(tmp_path / "c.json")
    (tmp_path / "c.pairs.parquet").unlink()
    (tmp_path / "c.pairs.parquet").mkdir()
    before = contents(tmp_path)
    with pytest.raises(IsADirectoryError, match=r"writes .*c\.pairs\.parquet; got a folder there"):
        pairs.to_croissant(tmp_path / "c.json")
    assert contents(tmp_path) == before


def test_croissant_is_replaced(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    pairs.to_croissant(tmp_path / "c.json", name="first")
    pairs.to_croissant(tmp_path / "c.json", name="second")
    assert "first" not in (tmp_path / "c.json").read_text()
    assert "second" in (tmp_path / "c.json").read_text()


def test_a_card_that_may_be_filled_in_is_never_replaced(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    (tmp_path / "README.md").write_text("by hand")
    message = r"must not replace a file .*README\.md, which exists\. Move it first"
    with pytest.raises(FileExistsError, match=message):
        pairs.to_card(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == "by hand"


def test_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    before = contents(tmp_path)
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(ImportError, match=re.escape('pip install "mmdata[card]"')):
        pairs.to_croissant(tmp_path / "c.json")
    assert contents(tmp_path) == before


# The card.


def loaded(path: Path) -> tuple[dict[str, Any], str]:
    """Front matter and Markdown, as the Hub's own library reads them."""
    card = DatasetCard.load(path)
    return card.data.to_dict(), card.text


def test_a_card_of_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    pairs = with_values(
        read,
        splits=[(None, "train", "test", "test")[row % 4] for row in range(len(read))],
        weights=[0.5, 1.0] * 320,
        place=["x"] * 640,
        day=[1] * 640,
    )
    path = tmp_path / "pictures" / "README.md"
    pairs.to_card(path)
    data, markdown = loaded(path)
    assert data == {
        "pretty_name": "pictures",
        "license": "unknown",
        "task_categories": ["image-to-text", "text-to-image"],
        "size_categories": ["n<1K"],
    }
    sizes = []
    for file in pairs.paths:
        with Image.open(file) as image:
            sizes.append(image.size)

    def spread(values: Any) -> str:
        ordered = sorted(values)
        return f"{ordered[0]} to {ordered[-1]}, median {statistics.median_low(ordered)}"

    rows = [pairs.captions_of(row) for row in range(640)]
    counts = [sum(map(len, rows[start::4])) for start in range(4)]
    lines = markdown.splitlines()
    for line in [
        "# pictures",
        f"640 image(s) with {sum(counts):,} caption(s).",
        "- Images: 640",
        *(
            f"  - `{suffix}`: {sum(image.endswith(suffix) for image in pairs.images)}"
            for suffix in (".jpg", ".png", ".webp")
        ),
        f"- Heights in pixels, upright: {spread(size[1] for size in sizes)}",
        f"- Widths in pixels, upright: {spread(size[0] for size in sizes)}",
        f"- Captions: {sum(counts):,}",
        f"  - per image: {spread(map(len, rows))}",
        f"  - words: {spread(len(each.split()) for row in rows for each in row)}",
        f"  - characters: {spread(len(each) for row in rows for each in row)}",
        "- Splits",
        f"  - `train`: 160 image(s), {counts[1]:,} caption(s)",
        f"  - `test`: 320 image(s), {counts[2] + counts[3]:,} caption(s)",
        f"  - no split: 160 image(s), {counts[0]:,} caption(s)",
        "- Weight of an image in training: 0.5 to 1, median 0.5",
        "- Other columns",
        "  - `place`: text",
        "  - `day`: whole numbers",
        "- Fingerprint of names, contents, captions, splits, weights and columns: "
        f"`{pairs.fingerprint}`",
        "Captions were read as `sidecar`.",
    ]:
        assert lines.count(line) == 1, line
    text = "\n".join(lines)
    for finding in pairs.leaks():
        assert f"({finding.kind})" in text
    code = re.findall("```python\n(.*?)\n```", text, re.DOTALL)[0].splitlines()
    assert code[-1] == "ds = mmdata.build(pairs)"
    monkeypatch.chdir(SAMPLES)
    space: dict[str, Any] = {}
    exec("\n".join(code[:-1]), space)
    assert list(space["pairs"].images) == list(read.images)


def test_a_card_of_little(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path / "images", {"a.png": []})
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    pairs.to_card(tmp_path / "README.md", name="x", description="*All* of it.", license="cc0-1.0")
    data, markdown = loaded(tmp_path / "README.md")
    assert data == {"pretty_name": "x", "license": "cc0-1.0", "size_categories": ["n<1K"]}
    assert "\n\n*All* of it.\n\n" in markdown
    assert "- Captions: 0\n" in markdown
    assert "(corrupt): 'a.png' (" in markdown
    for word in ("Heights", "words", "Splits", "Weight of", "Other columns"):
        assert word not in markdown
    whole = pairs_of(tmp_path / "images", {"a.png": ["x"]}, splits=["test"])
    (tmp_path / "README.md").unlink()
    whole.to_card(tmp_path / "README.md", description="\udcff")
    markdown = loaded(tmp_path / "README.md")[1]
    assert "nothing else was found" in markdown
    assert "\n\\udcff\n" in markdown
    (tmp_path / "README.md").unlink()
    whole.take(np.array([], np.int64)).to_card(tmp_path / "README.md")
    markdown = loaded(tmp_path / "README.md")[1]
    assert "- Images: 0\n" in markdown
    assert "  - `test`: 0 image(s), 0 caption(s)\n" in markdown


def test_a_card_of_shards_and_of_images_on_their_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pairs = pairs_of(tmp_path / "images", {"a.jpg": ["x"]})
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.jpg", exif=exif)
    pairs.to_webdataset(tmp_path / "shards")
    mmdata.read(tmp_path / "shards").to_card(tmp_path / "README.MD")
    markdown = loaded(tmp_path / "README.MD")[1]
    assert "- Heights in pixels, upright: 40\n- Widths in pixels, upright: 30\n" in markdown
    assert 'mmdata.read("shards/")' in markdown


def test_what_a_card_refuses(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, {"a.png": ["x"]})
    with pytest.raises(ValueError, match=re.escape("to_card(...) takes a path that ends in .md")):
        pairs.to_card(tmp_path / "README")
    (tmp_path / "README.md").mkdir()
    with pytest.raises(IsADirectoryError, match="writes a file; got the folder"):
        pairs.to_card(tmp_path / "README.md")


SIZES = {
    1: "n<1K",
    999: "n<1K",
    1000: "1K<n<10K",
    9999: "1K<n<10K",
    10_000: "10K<n<100K",
    999_999: "100K<n<1M",
    1_000_000: "1M<n<10M",
    10**9: "1B<n<10B",
    10**12 - 1: "100B<n<1T",
}


@pytest.mark.parametrize("count", SIZES)
def test_size_categories(count: int) -> None:
    assert cards._size_category(count) == SIZES[count]


pieces = [
    *("a", " ", "\n", "\r", "\t", "---", "\n---\n", "`", "``", "```", "````", "~~~", "|", "\\"),
    *("<b>", "</code>", "<!--", "<script>", "&lt;", "[a](b)", "![a](b)", "*a*", "_a_", "# ", "- "),
    *("1. ", "> ", "$a$", "{{ a }}", "{% a %}", "'", '"', ": ", " #", "{", "[", "www.a.com"),
    *("http://a.com", "a@b.com", NFC, NFD, "\U0001f600", "\u202e", "\u2028", "\x85", "\x7f"),
    *("\ufeff", "\ufffe", "\udcff", "\x00", "\x1b", "!!a", "@", "%", "=", "null", "yes"),
]
nasty = st.lists(st.sampled_from(pieces), min_size=1, max_size=6).map("".join)


def shape(path: Path) -> Iterator[tuple[str, ...]]:
    """What Markdown makes of a card, without the texts themselves."""
    for token in MarkdownIt("commonmark").parse(loaded(path)[1]):
        yield token.type, token.info, *(child.type for child in token.children or ())


def codes(path: Path) -> list[str]:
    tokens = MarkdownIt("commonmark").parse(loaded(path)[1])
    children = [child for token in tokens for child in token.children or ()]
    return [child.content.strip() for child in children if child.type == "code_inline"]


def test_no_text_breaks_a_card(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cards")
    pairs = pairs_of(folder, {"a.png": ["x"]})
    pairs = pairs.scanned()[1]
    path = folder / "README.md"

    def write(name: str, split: str, column: str, image: str, detail: str) -> None:
        further: dict[str, Any] = {column: ["x"]}
        made = with_values(pairs, splits=[split], **further)
        found = (Finding("malformed", image, detail), Finding("ignored", detail, image))
        report = PairingReport("sidecar", 1, 1, found)
        path.unlink(missing_ok=True)
        dataclasses.replace(made, report=report).to_card(path, name=name, license=split)

    write("a", "a", "a", "a", "a")
    plain = list(shape(path))

    @given(nasty.map("a{}".format), nasty, nasty, nasty, nasty)
    def check(name: str, split: str, column: str, image: str, detail: str) -> None:
        write(name, split, column, image, detail)
        assert list(shape(path)) == plain
        assert all(line.isprintable() for line in path.read_bytes().decode().split("\n"))
        assert codes(path)[1:3] == [printed(split).strip(), printed(column).strip()]
        data = loaded(path)[0]
        assert (data["pretty_name"], data["license"]) == (printed(name), printed(split))
        heading = MarkdownIt("commonmark").parse(loaded(path)[1])[1].children or []
        assert "".join(child.content for child in heading) == printed(name).strip()

    check()


def test_letters_and_emoji_stay_readable(tmp_path: Path) -> None:
    name = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f467"
    pairs_of(tmp_path, {"a.png": ["x"]}).to_card(tmp_path / "README.md", name=f"{name}\x1b")
    assert loaded(tmp_path / "README.md")[0]["pretty_name"] == rf"{name}\x1b"


def printed(text: str) -> str:
    """The text with what cannot be printed as `ascii` has it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
