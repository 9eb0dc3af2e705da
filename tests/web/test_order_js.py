"""Orders and random numbers in JavaScript, which are those of Python."""

import json
import pathlib
import random
import subprocess
from typing import Any

import order_vectors  # type: ignore[import-not-found]
import pytest

from mmdata.seeding import random_numbers

HERE = pathlib.Path(__file__).parent


def test_vectors_are_what_python_computes() -> None:
    advice = "raise ORDER_VERSION, then run `python tests/web/order_vectors.py`"
    assert json.loads(order_vectors.PATH.read_text()) == order_vectors.vectors(), advice


def some_fields(rng: random.Random) -> dict[str, Any]:
    """Fields of a random order; half of the small ones have blocks or buckets."""
    count = int(2 ** rng.uniform(0, rng.choice([6, 31])))
    fields: dict[str, Any] = {"count": count, "batchSize": rng.randint(1, 8)}
    ends = sorted({rng.randint(1, count) for _ in range(rng.randint(0, 9))} | {count})
    sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    kind = rng.choice(["blocks", "buckets", "all", "all"] if count < 10_000 else ["all"])
    if kind == "blocks":
        fields |= {"blocks": sizes, "window": rng.randint(1, 5)}
    elif kind == "buckets":
        fields["buckets"] = sizes
    elif count >= 8:
        fields["remainder"] = rng.choice(["keep", "drop", "wrap"])
    return fields | {"seed": str(int(2 ** rng.uniform(0, 63)))}


def drawn(rng: random.Random) -> dict[str, Any]:
    fields = some_fields(rng)
    order = order_vectors.order_of(fields)
    step = int(2 ** rng.uniform(0, 53))
    epoch, indices = order.epoch(step), order.indices(step)
    (number,) = random_numbers(indices[:1], order.seed, epoch).tolist()
    return {
        "fields": fields,
        "step": step,
        "epoch": epoch,
        "indices": indices.tolist(),
        "number": number,
    }


@pytest.mark.slow
def test_ten_thousand_random_steps_are_equal(node: str, tmp_path: pathlib.Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "drawn.json"
    path.write_text(json.dumps([drawn(rng) for _ in range(10_000)]))
    run = subprocess.run(
        [node, HERE / "compare_order.js", path], check=True, capture_output=True, text=True
    )
    assert json.loads(run.stdout) == {"compared": 10_000, "different": 0}


@pytest.mark.slow
def test_order_in_node(node: str) -> None:
    run = subprocess.run(
        [node, "--test", HERE / "order.test.js"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
