"""Golden values of pixels, text and order: `python tests/golden.py` writes them after a change.

It refuses to write outputs that changed under a version that did not: see `mmdata.versions`.
"""

import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import mmdata
from mmdata import versions
from mmdata.files.headers import Format, read_header
from mmdata.images import decoder_fingerprint
from mmdata.images.decode_in_graph import Decode
from mmdata.sampling.order import Order
from mmdata.seeding import random_keys, random_numbers
from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
from mmdata.stages.captions import DropCaption, ShuffleTags
from mmdata.stages.clean import Clean
from mmdata.stages.normalize import NORMALIZATIONS, Normalize
from mmdata.stages.resize import Resize
from mmdata.tokenizers import LEARNED, Byte

PATH = pathlib.Path(__file__).with_name("golden.json")
CAPTIONS = (
    "A man riding a wave on top of a surfboard.",
    "Two  dogs &amp; a cat, <b>left</b> of the Café",
    "ein roter Zug fährt über die Brücke\u200b",
    "一隻貓 sits on a\ttable 🙂",
)


def pixels() -> dict[str, Any]:
    """uint8 pixels of each format that TensorFlow decodes, resized in each way, and normalized."""
    found: dict[str, Any] = {}
    for path in sorted(decoder_fingerprint._PROBES.iterdir()):
        content = path.read_bytes()
        header = read_header(io.BytesIO(content))
        if header.format == Format.PILLOW:
            continue  # of another library: what it makes is part of the keys
        example = {"content": tf.constant(content), "format": tf.constant(header.format, tf.int8)}
        image = Decode()({**example, "orientation": tf.constant(6, tf.int8)})["image"]
        for fit in ("stretch", "crop", "pad"):
            for interpolation in ("bilinear", "bicubic"):
                resize: Any = Resize(size=(5, 4), fit=fit, interpolation=interpolation)
                resized = resize({"image": image})["image"]
                found[f"{path.name} {fit} {interpolation}"] = resized.numpy().ravel().tolist()
    example = {"image": tf.constant(np.arange(0, 252, 21).astype(np.uint8).reshape(1, 4, 3))}
    for to in NORMALIZATIONS:
        normalized = Normalize(to=to)(example)["image"].numpy()
        found[f"normalize {to}"] = [round(float(value), 4) for value in normalized.ravel()]
    return found


def text() -> dict[str, Any]:
    """Clean captions, and ids of each tokenizer that is learned."""
    found: dict[str, Any] = {}
    example = {"caption": tf.constant(CAPTIONS)}
    for preset in ("clip", "siglip", "bert", "light", "lower"):
        cleaned = Clean.preset(preset)(example)["caption"].numpy().tolist()
        found[f"clean {preset}"] = [caption.decode() for caption in cleaned]
    clean = found["clean lower"]
    for name, kind in LEARNED.items():
        tokenizer = kind.learn(clean, vocabulary_size=300 if name == "bytepair" else 90)
        found[f"vocabulary {name}"] = list(tokenizer.vocabulary)
        found[f"ids {name}"] = tokenizer.tokenize(clean).to_list()
    pack = mmdata.Text(tokenizer=Byte(), length=24).pack(Byte(), prompt="en: ")
    packed = pack({"token_ids": Byte().tokenize(clean)})
    found["packed"] = packed["token_ids"].numpy().tolist()
    return found


def order() -> dict[str, Any]:
    """Indices of steps, random numbers, and randomly augmented images and captions."""
    orders = {
        "plain": Order(count=23, batch_size=4, seed=3),
        "buckets": Order(count=23, batch_size=4, seed=3, buckets=(9, 14)),
        "blocks": Order(count=23, batch_size=4, seed=3, blocks=(5, 9, 3, 6), window=2),
        "shard": Order(count=23, batch_size=4, seed=3, shard=(1, 2), remainder="wrap"),
    }
    steps = (0, 1, 5, 6, 700)
    found: dict[str, Any] = {
        name: [order.indices(step).tolist() for step in steps] for name, order in orders.items()
    }
    index = np.arange(6)
    found["numbers"] = random_numbers(index, 3, epoch=2).tolist()
    found["keys"] = random_keys(index, 3, epoch=2).tolist()
    image = tf.constant(np.arange(144).astype(np.uint8).reshape(6, 8, 3))
    example = {"image": image, "caption": tf.constant("red, left, dog, cat, sea")}
    stages: tuple[Any, ...] = (
        RandomCrop(size=(4, 4)),
        Flip(),
        Color(),
        Grayscale(),
        ShuffleTags(keep=1),
        DropCaption(rate=0.5),
    )
    for stage in stages:
        made = [stage({**example, "seed": tf.constant([7, seed])}) for seed in range(4)]
        found[f"{type(stage).__name__} captions"] = [e["caption"].numpy().decode() for e in made]
        found[f"{type(stage).__name__} pixels"] = [
            e["image"].numpy().ravel().tolist() for e in made
        ]
    return found


OUTPUTS: dict[str, Callable[[], dict[str, Any]]] = {"pixels": pixels, "text": text, "order": order}


def version_of(name: str) -> int:
    """The version of an output, e.g. "pixels"."""
    version: int = getattr(versions, f"{name.upper()}_VERSION")
    return version


def changed(name: str, was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The keys whose outputs differ; of pixels, machines may differ by one grey level sometimes."""
    return [
        key
        for key in was
        if not (_alike if name == "pixels" or "pixels" in key else _equal)(was[key], now.get(key))
    ]


def _equal(was: Any, now: Any) -> bool:
    return bool(was == now)


def _alike(was: Any, now: Any) -> bool:
    if now is None or np.shape(was) != np.shape(now):
        return False
    apart = np.abs(np.subtract(was, now))
    if apart.dtype.kind == "f":  # normalized
        return bool(apart.max() <= 1e-3)
    return bool(apart.max() <= 1 and apart.mean() <= 0.05)


def main() -> None:
    """Writes the outputs of this version."""
    golden = json.loads(PATH.read_text()) if PATH.exists() else {}
    for name, output in OUTPUTS.items():
        now = output()
        known = golden.get(name, {"version": 0, "output": {}})
        if changed(name, known["output"], now) and known["version"] == version_of(name):
            raise SystemExit(f"The output of {name} changed: raise {name.upper()}_VERSION first.")
        golden[name] = {"version": version_of(name), "output": now}
    PATH.write_text(json.dumps(golden, ensure_ascii=False, indent=None) + "\n")


if __name__ == "__main__":
    main()
