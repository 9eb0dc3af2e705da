"""`mmdata.js` reads what the dataset gives: every byte, in Node, in pages and in Workers."""

import dataclasses
import functools
import itertools
import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import mmdata
from mmdata.export import web_shards
from mmdata.export.web import export_web
from tests.web.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

HERE = pathlib.Path(__file__).parent
HEIGHT, WIDTH = 6, 9
ROWS_OF_SHARD = 7
EPOCHS = 2
AT = 1
SETTINGS: dict[str, Any] = {
    "image_size": (HEIGHT, WIDTH),
    "pixels": "uint8",
    "text": mmdata.Text(tokenizer="byte", length=20),
    "batch_size": 8,
    "split": ("train", "validation"),
    "seed": 2**40,
}
RAW = mmdata.Text(tokenizer=None, clean=None)
LEFT = mmdata.Text(tokenizer="byte", length=24, padding="longest", padding_side="left")
LABEL = mmdata.Classification(column="kind", columns=("number", "share", "flag"))
CYCLE = mmdata.Captioning(captions="cycle", columns=("number", "big"))
BLOCKS = mmdata.Blocks(rows=ROWS_OF_SHARD, window=2)

CASES: dict[str, dict[str, Any]] = {
    "all": {},
    "drop": {"task": CYCLE, "batch_size": mmdata.Batching(size=8, remainder="drop")},
    "wrap": {
        "task": mmdata.Retrieval(captions="longest"),
        "batch_size": mmdata.Batching(size=8, remainder="wrap"),
    },
    "left": {"task": mmdata.Captioning(captions="random"), "text": LEFT},
    "blocks": {"task": mmdata.Captioning(captions="join"), "shuffle": BLOCKS},
    "retrieval": {"task": "retrieval"},
    "prefix": {"task": mmdata.Prefix(prompt="caption en\n", captions="first"), "shuffle": False},
    "raw": {"task": mmdata.Captioning(captions="random"), "text": RAW},
    "classification": {"task": LABEL},
}
SOME = ("all", "left")
"""For where only the way of the bytes differs."""

OTHER_WIDTHS = ("drop", "wrap", "left")
"""Cases whose epoch is not one long batch."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> mmdata.Pairs:
    """Pictures with 1 to 3 captions, weights, numbers and labels, in two splits; two are copies."""
    root = tmp_path_factory.mktemp("pictures")
    rows = []
    for number in range(33):
        name = f"{number:02}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (12, 11, 3), np.uint8)
        Image.fromarray(pixels).save(root / name)
        captions = [f"Été {number}{' und' * (n + number % 4)} {n}" for n in range(1 + number % 3)]
        rows.append(
            {
                "file_name": name,
                "captions": captions,
                "split": "validation" if number % 4 == 1 else "train",
                "weight": number / 4,
                "number": number - 5,
                "big": number * 2**40,
                "share": number / 7,
                "flag": number % 2 == 0,
                "kind": ["cat", "dog"][number % 2],
            }
        )
    shutil.copy(root / "04.png", root / "20.png")
    table = root / "captions.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return mmdata.read(root, table)


@dataclasses.dataclass
class Exported:
    """The datasets of each case, and a folder with the exports."""

    root: pathlib.Path
    datasets: dict[str, dict[str, mmdata.Dataset]]

    @functools.cached_property
    def batches(self) -> dict[tuple[str, str], list[list[Any]]]:
        """The batches of each epoch, by case and split."""
        return {
            (name, split): [list(ds.as_numpy_iterator()) for _ in range(EPOCHS)]
            for name, datasets in self.datasets.items()
            for split, ds in datasets.items()
        }


@pytest.fixture(scope="module")
def exported(pairs: mmdata.Pairs, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root = tmp_path_factory.mktemp("exports")
    found = Exported(root, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_shards, "_SHARD", ROWS_OF_SHARD * HEIGHT * WIDTH * 3)
        for name, arguments in CASES.items():
            datasets = mmdata.build(pairs, **{**SETTINGS, **arguments})
            found.datasets[name] = dict(zip(SETTINGS["split"], datasets, strict=True))
            for encoding in ("png", "npy"):
                folder = root / encoding / name
                export_web(found.datasets[name], folder, encoding=encoding, file_names=True)
    modules = root / "mmdata"
    shutil.copytree(pathlib.Path(mmdata.__file__).parent / "web", modules)
    for name in ("batches_json.js", "batches_worker.js"):
        shutil.copy(HERE / name, root)
    return found


def jobs_for(where: str, names: Iterable[str] = CASES, **opening: Any) -> list[dict[str, Any]]:
    """All epochs of each case and split, from the first step and from another; and next batches."""
    jobs: list[dict[str, Any]] = []
    for encoding, name, split in itertools.product(("png", "npy"), names, SETTINGS["split"]):
        common = {"url": f"{where}{encoding}/{name}/", "open": opening, "case": (name, split)}
        for at in (0, AT):
            jobs.append({**common, "batches": {"split": split, "epochs": EPOCHS, "at": at}})
        if name not in OTHER_WIDTHS:
            jobs.append({**common, "next": split})
    return jobs


def require_equal(
    results: list[list[dict[str, Any]]], exported: Exported, names: Iterable[str] = CASES
) -> None:
    """Compares the batches of `jobs_for` with those of the datasets."""
    jobs = jobs_for("", names)
    assert len(results) == len(jobs)
    for job, batches in zip(jobs, results, strict=True):
        epochs = exported.batches[job["case"]]
        if "next" in job:
            for batch, epoch in zip(batches, epochs, strict=True):
                require_same_epoch(in_python(batch), epoch, job)
            continue
        at = job["batches"]["at"]
        expected = [batch for epoch in epochs for batch in epoch][at:]
        assert len(batches) >= len(expected) > 0, job
        for step, (batch, wanted) in enumerate(zip(batches, expected, strict=False)):
            assert batch["step"] == step + at
            require_same_batch(in_python(batch), wanted, job)


def in_python(value: Any) -> Any:
    """Typed arrays as NumPy has them."""
    kinds = {"Uint8": "u1", "Int32": "<i4", "Float32": "<f4", "BigInt64": "<i8"}
    if isinstance(value, dict) and "data" in value:
        return in_python(value["data"]).reshape(value["shape"])
    if isinstance(value, dict):
        return {name: in_python(each) for name, each in value.items()}
    if isinstance(value, list) and value and str(value[0]).endswith("Array"):
        kind = kinds[value[0].removesuffix("Array")]
        return np.frombuffer(bytes.fromhex(value[1]), kind)
    return value


def require_same_batch(found: dict[str, Any], wanted: Any, job: Any) -> None:
    """Compares a batch of `data.batches` with what it shares with one of Keras."""
    x = wanted[0] if isinstance(wanted, tuple) else wanted
    x = x if isinstance(x, dict) else {"images": x}
    assert np.array_equal(found["images"].reshape(found["imageShape"]), x["images"]), job
    if "captions" in x:
        assert found["captions"] == [text.decode() for text in x["captions"].tolist()], job
    if "image_id" in x:
        assert np.array_equal(found["imageIds"], x["image_id"]), job
    if "token_ids" in x:
        width = x["token_ids"].shape[1]  # of captioning: without the last token
        masks = {"padding_mask": "paddingMask", "response_mask": "responseMask"}
        for name, ours in {"token_ids": "tokenIds", **masks}.items():
            values = found[ours].reshape(found["tokenShape"])
            assert name not in x or np.array_equal(values[:, :width], x[name]), (name, job)
    if isinstance(wanted, tuple) and "token_ids" in x:
        values = found["tokenIds"].reshape(found["tokenShape"])
        assert np.array_equal(values[:, 1:], wanted[1]), job
    for name, values in found["columns"].items():
        assert name not in x or np.array_equal(values, x[name]), (name, job)


def require_same_epoch(found: dict[str, Any], batches: list[Any], job: Any) -> None:
    """Compares an epoch as one batch of `data.nextBatch` with the batches of Keras."""
    names = ("xs", "ys", "sample_weight")
    parts = [batch if isinstance(batch, tuple) else (batch,) for batch in batches]
    assert list(found) == list(names[: len(parts[0])]), job
    for name, values in zip(names, zip(*parts, strict=True), strict=False):
        if not isinstance(values[0], dict):
            assert np.array_equal(found[name], np.concatenate(values)), (name, job)
            continue
        expected = {key: np.concatenate([each[key] for each in values]) for key in values[0]}
        expected.pop("captions", None)  # TensorFlow.js does not train on strings
        assert found[name].keys() == expected.keys(), job
        for key, value in expected.items():
            assert np.array_equal(found[name][key], value), (key, job)


def test_node_reads_what_python_gives(node: str, exported: Exported) -> None:
    script = [node, str(HERE / "print_batches.js"), str(exported.root / "mmdata/mmdata.js")]
    for names, opening in ((CASES, {}), (SOME, {"worker": True})):
        jobs = json.dumps(jobs_for(f"{exported.root}/", names, **opening))
        done = subprocess.run(script, input=jobs, stdout=subprocess.PIPE, check=True, text=True)
        require_equal(json.loads(done.stdout), exported, names)


@pytest.fixture(scope="module")
def page(exported: Exported, browser: "Browser") -> Iterator["Page"]:
    """An empty page beside the exports."""
    (exported.root / "index.html").write_text("<!doctype html><title>Empty</title>")
    with Server(exported.root) as server:
        page = browser.new_page()
        page.goto(server.url)
        yield page
        page.close()


def test_a_page_reads_what_python_gives(page: "Page", exported: Exported) -> None:
    read = """async (jobs) => {
        const { batchesJson } = await import("./batches_json.js");
        const { open } = await import("./mmdata/mmdata.js");
        return batchesJson(open, jobs);
    }"""
    for names, opening in ((CASES, {}), (SOME, {"worker": True})):
        require_equal(page.evaluate(read, jobs_for("", names, **opening)), exported, names)


def test_a_worker_of_a_page_reads_what_python_gives(page: "Page", exported: Exported) -> None:
    read = """async (jobs) => {
        const worker = new Worker("./batches_worker.js", { type: "module" });
        const module = new URL("./mmdata/mmdata.js", location.href).href;
        const answer = new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = (event) => reject(new Error(event.message));
        });
        worker.postMessage({ module, jobs });
        return answer;
    }"""
    require_equal(page.evaluate(read, jobs_for("", SOME)), exported, SOME)


def test_texts_and_pictures_of_users(node: str, exported: Exported) -> None:
    """The tokenizer and the preparation of the data: row 0 is prepared as it was for training."""
    ds = exported.datasets["blocks"]["validation"]
    (x, y, _) = exported.batches["blocks", "validation"][0][0]
    picture = pathlib.Path(ds.pairs.root, ds.pairs.images[0])
    caption = " ".join(ds.pairs.captions[: ds.pairs.offsets[1]])
    export = exported.root / "png" / "blocks"
    module = exported.root / "mmdata/mmdata.js"
    command = [node, str(HERE / "print_texts.js"), *map(str, (module, export, picture)), caption]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found = json.loads(done.stdout)
    assert found["text"] == caption.lower()
    assert found["packed"] == [*x["token_ids"][0], y[0, -1]]
    assert found["mask"][:-1] == [*x["padding_mask"][0]]
    assert np.abs(np.array(found["prepared"]) - x["images"][0].ravel()).max() <= 1
    assert found["batch"] == found["prepared"]
