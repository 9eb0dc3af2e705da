"""resize.js against Pillow 13 (bit for bit), and against the stages of mmdata."""

import json
import pathlib
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mmdata.options import Pixels
from mmdata.stages.resize import CenterCrop

pytestmark = pytest.mark.slow

Pictures = list[NDArray[np.uint8]]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_SCRIPT = pathlib.Path(__file__).with_name("resize_files.js")


class Job(NamedTuple):
    """A picture, and how it is resized; options as in JavaScript."""

    picture: NDArray[np.uint8]
    options: dict[str, Any]


@pytest.fixture(scope="module")
def run(node: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Job]], Pictures]:
    """Resizes pictures in Node."""

    def resize(jobs: Sequence[Job]) -> Pictures:
        folder = tmp_path_factory.mktemp("resize")
        starts = np.cumsum([0, *(job.picture.size for job in jobs)]).tolist()
        plain = [
            {"start": start, "shape": job.picture.shape, "options": job.options}
            for start, job in zip(starts, jobs, strict=False)
        ]
        (folder / "jobs.json").write_text(json.dumps(plain))
        (folder / "images.raw").write_bytes(b"".join(job.picture.tobytes() for job in jobs))
        subprocess.run([node, _SCRIPT, folder], check=True)
        pixels = np.fromfile(folder / "result.raw", np.uint8)
        shapes = [(*job.options["size"], job.picture.shape[2]) for job in jobs]
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        parts = np.split(pixels, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    return resize


def photos(coco: pathlib.Path, count: int) -> Pictures:
    paths = sorted(coco.glob("*2017/*.jpg"))[:count]
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def noise(rng: np.random.Generator, height: int, width: int, channels: int = 3) -> Any:
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def by_pillow(picture: NDArray[np.uint8], size: tuple[int, int], interpolation: str) -> Any:
    image = Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture)
    resized = image.resize(size[::-1], _FILTERS[interpolation])
    return np.asarray(resized).reshape(*size, -1)


def by_stages(picture: NDArray[np.uint8], options: dict[str, Any]) -> Any:
    names = {"maxCrop": "max_crop", "loadSize": "load_size"}
    fields: dict[str, Any] = {
        names.get(name, name): tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
    }
    pixels = Pixels(**fields)
    example = pixels.resize({"image": tf.constant(picture)})
    return CenterCrop(size=pixels.size)(example)["image"].numpy()


def test_photos_equal_pillow_bit_for_bit(
    run: Callable[[Sequence[Job]], Pictures], coco: pathlib.Path
) -> None:
    sizes = [(64, 64), (224, 224), (80, 500), (700, 150), (500, 700)]
    jobs = [
        Job(photo, {"size": sizes[i % 5], "interpolation": interpolation})
        for i, photo in enumerate(photos(coco, 50))
        for interpolation in _FILTERS
    ]
    assert len(jobs) == 100
    for job, found in zip(jobs, run(jobs), strict=True):
        assert np.array_equal(found, by_pillow(job.picture, **job.options)), job.options


def test_random_sizes_equal_pillow_bit_for_bit(
    run: Callable[[Sequence[Job]], Pictures],
) -> None:
    rng = np.random.default_rng(0)
    jobs = []
    for i in range(400):
        height, width, *size = np.where(
            rng.random(4) < 0.1, 1, np.exp(rng.uniform(0, 5.5, 4)).astype(int)
        ).tolist()
        picture = noise(rng, height, width, [1, 3, 4][i % 3] if i % 2 else 3)
        if picture.shape[2] == 4:
            picture[..., 3] = 255  # Pillow resizes colors times alpha
        jobs += [Job(picture, {"size": tuple(size), "interpolation": name}) for name in _FILTERS]
    for job, found in zip(jobs, run(jobs), strict=True):
        expected = by_pillow(job.picture, **job.options)
        assert np.array_equal(found, expected), (job.picture.shape, job.options)


def fitted(picture: NDArray[np.uint8], options: dict[str, Any]) -> Any:
    """Pillow's resize of the whole picture, cropped and padded: with mmdata's sizes and offsets."""
    loaded = options.get("loadSize") or options["size"]
    stretched, size = np.array(loaded) / picture.shape[:2], np.array(loaded)
    if options["fit"] == "stretch":
        whole = size
    elif options["fit"] == "pad":
        whole = np.round(np.array(picture.shape[:2]) * stretched.min())
    else:
        kept = 1 - options.get("maxCrop", 1)
        scale = min(stretched.max(), stretched.min() / kept if kept else np.inf)
        whole = np.floor(np.array(picture.shape[:2]) * scale + 1e-6)
    height, width = np.maximum(whole, 1).astype(int).tolist()
    resized = Image.fromarray(by_pillow(picture, (height, width), options["interpolation"]))
    top, left = np.round((size - (height, width)) / 2).astype(int).tolist()
    canvas = Image.new("RGB", loaded[::-1], tuple(options.get("background", (255, 255, 255))))
    canvas.paste(resized, (left, top))
    top, left = np.round((size - options["size"]) / 2).astype(int).tolist()
    bottom, right = top + options["size"][0], left + options["size"][1]
    return np.asarray(canvas.crop((left, top, right, bottom)))


def fits(rng: np.random.Generator) -> dict[str, Any]:
    """Random options."""
    size = np.exp(rng.uniform(0, 4.5, 2)).astype(int)
    options: dict[str, Any] = {
        "size": size.tolist(),
        "fit": str(rng.choice(["stretch", "crop", "pad"])),
        "interpolation": str(rng.choice(list(_FILTERS))),
        "background": rng.integers(0, 256, 3).tolist(),
    }
    if options["fit"] == "crop" and rng.random() < 0.5:
        options["maxCrop"] = round(rng.random(), 2)
    if rng.random() < 0.3:
        options["loadSize"] = (size + rng.integers(0, 40, 2)).tolist()
    return options


def test_fits_equal_pillow_bit_for_bit_and_the_stages_within_a_level(
    run: Callable[[Sequence[Job]], Pictures],
) -> None:
    rng = np.random.default_rng(1)
    jobs = [
        Job(noise(rng, *np.exp(rng.uniform(0, 5, 2)).astype(int).tolist()), fits(rng))
        for _ in range(300)
    ]
    for job, found in zip(jobs, run(jobs), strict=True):
        assert np.array_equal(found, fitted(*job)), (job.picture.shape, job.options)
        if job.options["interpolation"] == "bilinear":
            off = np.abs(found.astype(int) - by_stages(*job))
            assert off.max() <= 1, (job.picture.shape, job.options)
