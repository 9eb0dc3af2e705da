"""Orders and random numbers that Python and JavaScript both compute.

`python tests/web/order_vectors.py` writes them after ORDER_VERSION was raised.
"""

import itertools
import json
import pathlib
from typing import Any

import numpy as np

from mmdata.sampling.order import Order
from mmdata.seeding import random_numbers

PATH = pathlib.Path(__file__).with_name("order_vectors.json")
COUNTS = (1, 2, 3, 7, 255, 256, 1000, 100_003, 2**31 - 1)
SEEDS = (0, 1, 2**32, 2**63 - 1)
EPOCHS = (0, 1, 2**20)
FIELDS: tuple[dict[str, Any], ...] = (
    *({"count": count, "batchSize": min(count, 3)} for count in COUNTS),
    {"count": 10, "batchSize": 4, "shuffle": False},
    {"count": 11, "batchSize": 4, "remainder": "drop"},
    {"count": 11, "batchSize": 4, "remainder": "wrap"},
    {"count": 23, "batchSize": 4, "blocks": [5, 9, 3, 6], "window": 2},
    {"count": 3000, "batchSize": 4, "blocks": [600, 1, 1400, 999], "window": 8},
    {"count": 600, "batchSize": 4, "blocks": [2] * 300, "window": 1, "remainder": "wrap"},
    {"count": 23, "batchSize": 4, "buckets": [9, 14]},
    {"count": 23, "batchSize": 4, "buckets": [3, 9, 11], "remainder": "drop"},
    {"count": 23, "batchSize": 4, "buckets": [5, 7, 11], "remainder": "wrap", "shuffle": False},
)


def order_of(fields: dict[str, Any]) -> Order:
    """Makes the order that has these fields in JavaScript."""
    python = {
        "batch_size": fields["batchSize"],
        "seed": int(fields.get("seed", 0)),
        "blocks": tuple(fields.get("blocks", ())),
        "buckets": tuple(fields.get("buckets", ())),
    }
    return Order(**{name: fields[name] for name in fields if name != "batchSize"} | python)


def vectors() -> dict[str, Any]:
    """Indices of the last batch but one of some epochs, and numbers that choose captions."""
    orders = []
    for fields, seed in itertools.product(FIELDS, SEEDS):
        order = order_of(fields | {"seed": seed})
        ends = [(epoch + 1) * order.steps_per_epoch for epoch in EPOCHS]
        steps = [max(end - 2, end - order.steps_per_epoch) for end in ends]
        indices = [order.indices(step).tolist() for step in steps]
        orders.append({"fields": {**fields, "seed": str(seed)}, "steps": steps, "indices": indices})
    index = np.array([0, 1, 2, 2**31 - 1])
    captions = [
        {"seed": str(seed), "epoch": epoch, "numbers": random_numbers(index, seed, epoch).tolist()}
        for seed, epoch in itertools.product(SEEDS, EPOCHS)
    ]
    return {"orders": orders, "index": index.tolist(), "captions": captions}


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), separators=(",", ":")) + "\n")
