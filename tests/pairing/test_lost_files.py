"""Images and captions lost at random among equal file names: no wrong pair, each loss by its name.

Twenty folders hold the same fifty file names, and a caption names its image: so the text alone
shows a wrong pair.
"""

import csv
import dataclasses
import io
import json
import pathlib
import random
import tarfile
from collections.abc import Callable, Collection, Iterable
from typing import Any

import datasets
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import settings

import mmdata
from mmdata.pairs.findings import Finding, PairingError

SEEDS = settings().max_examples // 10
FEWER_SEEDS = SEEDS // 2
LOST = 10
PLAIN = [f"folder {number}" for number in range(20)]
ODD = [
    *("a", "A b", "\u00e4", "c,d", "it's", "e#1", "(f)", "g.h", "10_i", "j_mask", "K", "00", "0"),
    *("-l", "m+n", "\u00f6 \u00fc", "\u65e5\u672c", "q;r", "s=t", "%20"),
]
ALIKE = [
    *("b", "B", "\u00e4", "\u00c4", "stra\u00dfe", "strasse", "STRASSE", "1", "01", "001"),
    *("x", "X", "x ", "x.y", "X.Y", "x-y", "n m", "N m", "n M", "nm"),
]
"""Some differ only in case."""


def caption(name: str) -> str:
    """The caption of an image; a name is `folder/number`, without an extension."""
    return f"this is {name.replace(' ', '_')}"


# A tree of images and caption files, of which some are hidden for a while.


class Tree:
    def __init__(self, root: pathlib.Path, folders: list[str]) -> None:
        self.root = root
        self.folders = folders
        self.names = [f"{folder}/{number}" for folder in folders for number in range(50)]
        self.ids = {name: f"{name.rpartition('/')[0]}/{self.id(name):012}" for name in self.names}
        for folder in folders:
            for below in ("top/images", "ids", "texts", "beside"):
                (root / below / folder).mkdir(parents=True)
        for name in self.names:
            (root / f"texts/{name}.txt").write_text(caption(name), encoding="utf-8")
            (root / f"beside/{name}.txt").hardlink_to(root / f"texts/{name}.txt")
            for image in self.images(name):
                image.touch()

    def id(self, name: str) -> int:
        folder, _, number = name.rpartition("/")
        return 1000 * (1 + self.folders.index(folder)) + int(number)

    def images(self, name: str) -> list[pathlib.Path]:
        below = (f"top/images/{name}", f"beside/{name}", f"ids/{self.ids[name]}")
        return [self.root / f"{path}.png" for path in below]

    def lose(self, images: Iterable[str], captions: Iterable[str]) -> list[pathlib.Path]:
        """Hides images and caption files; returns them."""
        lost = [path for name in images for path in self.images(name)]
        lost += [self.root / f"{at}/{name}.txt" for name in captions for at in ("texts", "beside")]
        for number, path in enumerate(lost):
            path.rename(self.root / str(number))
        return lost

    def restore(self, lost: list[pathlib.Path]) -> None:
        for number, path in enumerate(lost):
            (self.root / str(number)).rename(path)

    def write(self, path: str, content: str) -> pathlib.Path:
        (self.root / path).write_text(content, encoding="utf-8", newline="")
        return self.root / path


# What `mmdata.read` takes, given the images that have a caption.


def rows(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(f"{name}.png", caption(name)) for name in names]


def delimited(listed: list[tuple[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([("file_name", "text"), *listed])
    return text.getvalue()


def records(listed: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"file_name": name, "text": text} for name, text in listed]


def coco(listed: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": name} for n, (name, _) in enumerate(listed)],
        "annotations": [{"image_id": n, "caption": text} for n, (_, text) in enumerate(listed)],
    }


def karpathy(listed: list[tuple[str, str]]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    for number, (name, text) in enumerate(listed):
        folder, _, base = name.rpartition("/")
        images.append({"filepath": folder, "filename": base, "cocoid": number})
        images[-1] |= {"split": "train", "sentences": [{"raw": text}]}
    return {"images": images}


def in_a_file(name: str, content: Callable[[list[tuple[str, str]]], str]) -> Any:
    return lambda tree, names: (
        tree.root / "top/images",
        tree.write(name, content(rows(names))),
    )


def parquet(tree: Tree, names: list[str]) -> tuple[Any, Any]:
    path = tree.root / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records(rows(names))), path)
    return tree.root / "top/images", path


def metadata_in_each_folder(tree: Tree, names: list[str]) -> tuple[Any, Any]:
    for folder in tree.folders:
        listed = rows(name for name in names if name.rpartition("/")[0] == folder)
        content = delimited([(name.rpartition("/")[2], text) for name, text in listed])
        tree.write(f"top/images/{folder}/metadata.csv", content)
    return tree.root / "top/images", None


def coco_results(tree: Tree, names: list[str]) -> tuple[Any, Any]:
    found = [{"image_id": tree.id(name), "caption": caption(name)} for name in names]
    return tree.root / "ids", tree.write("results.json", json.dumps(found))


def shard(tree: Tree, names: list[str]) -> tuple[Any, Any]:
    there = [name for name in tree.names if tree.images(name)[0].exists()]
    members = [member(f"{name}.png", b"") for name in there]
    members += [member(f"{name}.txt", caption(name).encode()) for name in names]
    random.Random(len(there)).shuffle(members)
    (tree.root / "t.tar").write_bytes(b"".join([*members, bytes(1024)]))
    return tree.root / "t.tar", None


def member(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    padding = bytes(-len(content) % 512)
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict") + content + padding


def dataset_of_files(tree: Tree, names: list[str]) -> tuple[Any, Any]:
    folder = tree.root / "top/images"
    paths = [f"{folder}/{name}" for name, _ in rows(names)]
    found = datasets.Dataset.from_dict({"image": paths, "caption": list(map(caption, names))})
    return found.cast_column("image", datasets.Image()), None


@dataclasses.dataclass(frozen=True)
class Layout:
    """How captions are given, and what findings then call an image, and a row without its image.

    Attributes:
      given: The arguments of `mmdata.read`.
      image: What a name becomes for an image.
      row: What a name becomes for a row.
      sees_folder: Whether images without a row can be seen at all.
    """

    given: Callable[[Tree, list[str]], tuple[Any, Any]]
    image: str = "{}.png"
    row: str = "{}.png"
    sees_folder: bool = True


LAYOUTS = {
    "sidecar beside": Layout(lambda tree, _: (tree.root / "beside", None), row="{}.txt"),
    "sidecar": Layout(
        lambda tree, _: (tree.root / "top/images", tree.root / "texts"), row="{}.txt"
    ),
    "CSV": Layout(in_a_file("t.csv", delimited)),
    "CSV without extensions": Layout(
        in_a_file("t.csv", lambda listed: delimited([(name[:-4], text) for name, text in listed])),
        row="{}",
    ),
    "TSV": Layout(in_a_file("t.tsv", lambda listed: delimited(listed, "\t"))),
    "JSONL": Layout(
        in_a_file("t.jsonl", lambda listed: "\n".join(map(json.dumps, records(listed))))
    ),
    "JSON": Layout(in_a_file("t.json", lambda listed: json.dumps(records(listed)))),
    "Parquet": Layout(parquet),
    "metadata.csv in each folder": Layout(metadata_in_each_folder),
    "COCO": Layout(in_a_file("coco.json", lambda listed: json.dumps(coco(listed)))),
    "COCO results": Layout(coco_results, image="{id}.png", row="{bare}"),
    "Karpathy": Layout(in_a_file("karpathy.json", lambda listed: json.dumps(karpathy(listed)))),
    "Flickr": Layout(
        in_a_file(
            "t.token.txt",
            lambda listed: "".join(f"{name}#0\t{text}\n" for name, text in listed),
        )
    ),
    "DataFrame": Layout(
        lambda tree, names: (tree.root / "top/images", pd.DataFrame(records(rows(names))))
    ),
    "Dataset": Layout(
        lambda tree, names: (
            tree.root / "top/images",
            datasets.Dataset.from_list(records(rows(names))),
        )
    ),
    "Dataset of files": Layout(dataset_of_files, sees_folder=False),
    "tar": Layout(shard, image="t.tar/{}.png", row="t.tar: {}.txt"),
}


def moved(
    content: Callable[[list[tuple[str, str]]], str], name: str, folder: str, spelled: str
) -> Callable[[Tree, list[str]], tuple[Any, Any]]:
    """A file whose names have another folder than the images have."""
    return lambda tree, names: (
        tree.root / folder,
        tree.write(name, content([(spelled.format(image), text) for image, text in rows(names)])),
    )


CHANGES = {
    "one folder more": ("top/images", "data/{}", "{}.png"),
    "two folders more": ("top/images", "data/x/{}", "{}.png"),
    "one folder fewer": ("top", "{}", "images/{}.png"),
    "another top folder": ("top", "val/{}", "images/{}.png"),
}
CONTENTS: dict[str, tuple[str, Callable[[list[tuple[str, str]]], str]]] = {
    "CSV": ("t.csv", delimited),
    "COCO": ("coco.json", lambda listed: json.dumps(coco(listed))),
    "Karpathy": ("karpathy.json", lambda listed: json.dumps(karpathy(listed))),
}
MOVED = {
    f"{kind}, {change}": Layout(
        moved(content, file, folder, spelled), image, spelled.format("{}.png")
    )
    for kind, (file, content) in CONTENTS.items()
    for change, (folder, spelled, image) in CHANGES.items()
}


# What came of it, and what is wrong with that.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What paired, and what is reported.

    Attributes:
      rows: The captions of each image.
      problems: The kind and the path of each problem.
      details: Those of all problems, which may quote further names.
    """

    rows: dict[str, list[str]]
    problems: set[tuple[str, str]]
    details: str = dataclasses.field(default="", compare=False)


def read(images: Any, captions: Any) -> Outcome:
    try:
        pairs = mmdata.read(images, captions, on_problem="drop")
    except PairingError as err:  # nothing pairs
        return outcome({}, err.findings)
    found = {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}
    return outcome(found, pairs.report.findings)


def outcome(rows: dict[str, list[str]], findings: Iterable[Finding]) -> Outcome:
    problems = [each for each in findings if each.is_problem and each.count == 1]
    details = "\n".join({each.detail for each in problems})
    return Outcome(rows, {(each.kind, each.path) for each in problems}, details)


def faults(
    found: Outcome, layout: Layout, tree: Tree, there: Collection[str], listed: Collection[str]
) -> list[str]:
    """What no outcome may have: a wrong pair; an image or a row that nothing names."""
    spelled = {name: of(layout.image, name, tree) for name in tree.names}
    right = {spelled[name]: [caption(name)] for name in tree.names}
    named = {path for _, path in found.problems} | found.rows.keys()
    wrong = [f"{i!r} has {texts}" for i, texts in found.rows.items() if texts != right[i]]
    unnamed = [
        *(spelled[name] for name in there if layout.sees_folder or name in listed),
        *(of(layout.row, n, tree) for n in listed if spelled[n] not in found.rows),
    ]
    unnamed = [name for name in unnamed if name not in named]
    unnamed = [name for name in unnamed if ascii(name) not in found.details]
    return wrong + [f"nothing names {name!r}" for name in sorted(unnamed)]


def whole(layout: Layout, tree: Tree, there: Collection[str], listed: Collection[str]) -> Outcome:
    """All that pairs does, and each lost image and each lost row is one problem."""
    names = {name: of(layout.image, name, tree) for name in tree.names}
    unlisted = [names[n] for n in there if n not in listed] if layout.sees_folder else []
    rows_alone = [of(layout.row, name, tree) for name in listed if name not in there]
    return Outcome(
        {names[name]: [caption(name)] for name in there if name in listed},
        {("missing_caption", name) for name in unlisted}
        | {("missing_image", name) for name in rows_alone},
    )


def of(form: str, name: str, tree: Tree) -> str:
    return form.format(name, id=tree.ids[name], bare=tree.ids[name].rpartition("/")[2])


def differences(found: Outcome, expected: Outcome) -> list[str]:
    pairs = [name for name in expected.rows if name not in found.rows]
    return [
        *(f"{name!r} does not pair" for name in pairs),
        *(f"no {kind} {path!r}" for kind, path in sorted(expected.problems - found.problems)),
        *(
            f"unexpected: {kind} {path!r}"
            for kind, path in sorted(found.problems - expected.problems)
        ),
    ]


def after_losses(
    tree: Tree, layout: Layout, judge: Callable[..., list[str]], seeds: int
) -> list[str]:
    """What is wrong after each of the seeds, with the seed before it."""
    found: list[str] = []
    for seed in range(seeds):
        chance = random.Random(seed)
        images, captions = chance.sample(tree.names, LOST), chance.sample(tree.names, LOST)
        there = [name for name in tree.names if name not in images]
        listed = [name for name in tree.names if name not in captions]
        lost = tree.lose(images, captions)
        try:
            result = read(*layout.given(tree, listed))
        finally:
            tree.restore(lost)
            for file in tree.root.glob("top/images/*/metadata.csv"):
                file.unlink()
        found += [f"seed {seed}: {f}" for f in judge(result, layout, tree, there, listed)]
    return found


def first(found: list[str]) -> str:
    return "\n".join([f"{len(found)} faults:", *found[:5]])


def strictly(found: Outcome, layout: Layout, *rest: Any) -> list[str]:
    return faults(found, layout, *rest) + differences(found, whole(layout, *rest))


def strictly_if_any_pair(found: Outcome, layout: Layout, *rest: Any) -> list[str]:
    return strictly(found, layout, *rest) if found.rows else faults(found, layout, *rest)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tree]:
    kept: dict[str, Tree] = {}
    kinds = {"plain": PLAIN, "odd": ODD, "alike": ALIKE}

    def tree(kind: str) -> Tree:
        if kind not in kept:
            kept[kind] = Tree(tmp_path_factory.mktemp(kind), kinds[kind])
        return kept[kind]

    return tree


@pytest.mark.parametrize("kind", ["plain", "odd"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_losses(trees: Callable[[str], Tree], layout: Layout, kind: str) -> None:
    found = after_losses(trees(kind), layout, strictly, SEEDS if kind == "plain" else FEWER_SEEDS)
    if found:
        pytest.fail(first(found), pytrace=False)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_losses_in_folders_that_are_alike(trees: Callable[[str], Tree], layout: Layout) -> None:
    found = after_losses(trees("alike"), layout, faults, FEWER_SEEDS)
    if found:
        pytest.fail(first(found), pytrace=False)


@pytest.mark.parametrize("layout", MOVED.values(), ids=MOVED)
def test_losses_where_all_folders_changed(trees: Callable[[str], Tree], layout: Layout) -> None:
    found = after_losses(trees("plain"), layout, strictly_if_any_pair, FEWER_SEEDS)
    if found:
        pytest.fail(first(found), pytrace=False)
