"""Orders and random numbers in JavaScript, which are those of Python."""

import json
import pathlib
import random
import subprocess
from typing import TYPE_CHECKING, Any

import order_vectors  # type: ignore[import-not-found]
import pytest

from mmdata.seeding import random_numbers
from tests.web.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def orders() -> str:
    """10,000 random orders with a step of each and its results, as JSON."""
    rng = random.Random(0)
    return json.dumps([drawn(rng) for _ in range(10_000)])


EQUAL = {"compared": 10_000, "different": 0}

IN_NODE = """
import { readFileSync } from "node:fs";
import { compare } from "./compare_order.js";
console.log(JSON.stringify(compare(JSON.parse(readFileSync(0, "utf-8")))));
"""

IN_PAGE = """async (orders) => {
  const { compare } = await import("/tests/web/compare_order.js");
  return compare(JSON.parse(orders));
}"""

IN_WORKER = """(orders) => new Promise((resolve, reject) => {
  const script = `import { compare } from "${location.origin}/tests/web/compare_order.js";
    onmessage = ({ data }) => postMessage(compare(JSON.parse(data)));
    postMessage("ready");`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  worker.onerror = reject;
  worker.onmessage = ({ data }) => (data === "ready" ? worker.postMessage(orders) : resolve(data));
})"""


@pytest.mark.slow
def test_ten_thousand_random_steps_in_node(node: str, orders: str) -> None:
    command = [node, "--input-type=module", "--eval", IN_NODE]
    run = subprocess.run(
        command, cwd=HERE, input=orders, check=True, capture_output=True, text=True
    )
    assert json.loads(run.stdout) == EQUAL


@pytest.mark.slow
@pytest.mark.parametrize("script", [IN_PAGE, IN_WORKER], ids=["page", "worker"])
def test_ten_thousand_random_steps_in_chromium(
    browser: "Browser", orders: str, script: str
) -> None:
    with Server(HERE.parents[1]) as server:
        page = browser.new_page()
        page.goto(f"{server.url}log")
        assert page.evaluate(script, orders) == EQUAL
        page.close()
