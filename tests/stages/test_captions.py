"""Stages that change captions: order of tags, templates, dropout, split captions."""

# ruff: noqa: RUF001  (spaces of other scripts are what is tested)

import collections
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from chance import chance  # type: ignore[import-not-found]

from mmdata.example import Stage
from mmdata.stages.captions import DropCaption, ShuffleTags, SplitCaptions, Template, TidyTags

SEED = [1, 2]


def example(caption: str | bytes = "a, b, c", seed: Any = SEED) -> dict[str, Any]:
    return {"caption": tf.constant(caption), "seed": tf.constant(seed, tf.int32), "row": 7}


def over_seeds(stage: Stage, count: int, caption: str = "a, b, c") -> list[dict[str, Any]]:
    """The results of a stage for one caption, one per seed, in `tf.data`."""
    seeds = np.random.default_rng(0).integers(-(2**31), 2**31, (count, 2), np.int32)
    ds = tf.data.Dataset.from_tensor_slices(seeds)
    ds = ds.map(lambda seed: stage({"caption": tf.constant(caption), "seed": seed}), 2)
    return list(ds.as_numpy_iterator())


STAGES: list[Any] = [
    ShuffleTags(),
    ShuffleTags(keep=2),
    Template(text="a {caption}."),
    DropCaption(rate=0.5),
    SplitCaptions(separator=b"\xff"),
]


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_stages_are_values_and_leave_the_rest(stage: Any) -> None:
    assert pickle.loads(pickle.dumps(stage)) == stage
    assert len({stage, pickle.loads(pickle.dumps(stage))}) == 1
    assert repr(stage).startswith(f"{type(stage).__name__}(")
    given = example()
    if isinstance(stage, SplitCaptions):
        given["caption"] = tf.constant(["a\xffb".encode("latin-1")])
    before = dict(given)
    eager, graph = stage(given), tf.function(stage)(given)
    assert given == before
    assert eager.keys() == graph.keys() >= given.keys()
    assert eager["row"] == 7
    for name in eager.keys() - {"row"}:
        assert eager[name].dtype == graph[name].dtype
        if name != "references":
            assert tf.reduce_all(eager[name] == graph[name])


SPACES = " \t\n\x0b\x0c\r\x1c\x1f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
TAGS: dict[str, str] = {
    "plain": "red,round,big",
    "spaces": "  red ,\tround\n,  very   big  ",
    "all spaces": f"{SPACES}red{SPACES},{SPACES}very{SPACES}big{SPACES}",
    "empty tags": ",, red,, ,\t,round,",
    "a tag of odd spaces": f"red,{SPACES},round",
    "single": "red",
    "single and spaces": " red ,",
    "twice the same": "red, blue, red, red",
    "none": "",
    "other scripts": "красный,круглый,🐈\u200d⬛, 大きい、赤い",
    "no comma of ours": "赤い，大きい; small",
}


@pytest.mark.parametrize("caption", TAGS.values(), ids=TAGS.keys())
@pytest.mark.parametrize("keep", [0, 1, 2, 9])
def test_tags_are_kept(caption: str, keep: int) -> None:
    tags = [tag.strip() for tag in caption.split(",") if tag.strip()]
    for seed in range(3):
        made = ShuffleTags(keep=keep)(example(caption, [seed, 0]))["caption"].numpy().decode()
        shuffled = made.split(", ") if made else []
        assert shuffled[:keep] == tags[:keep]
        assert collections.Counter(shuffled) == collections.Counter(tags)


@pytest.mark.parametrize("caption", TAGS.values(), ids=TAGS.keys())
def test_tags_are_tidied_as_they_are_shuffled(caption: str) -> None:
    tidy = TidyTags()({"caption": tf.constant([[caption, "x"]])})["caption"].numpy()
    expected = ", ".join(tag.strip() for tag in caption.split(",") if tag.strip())
    assert [text.decode() for text in tidy[0]] == [expected, "x"]


@pytest.mark.parametrize("caption", ["", " , ,,", " "])
def test_a_caption_without_tags_stays(caption: str) -> None:
    made = ShuffleTags(keep=1)(example(caption, [3, 0]))["caption"].numpy().decode()
    assert made == caption


def test_bytes_that_are_not_text_stay() -> None:
    made = ShuffleTags()(example(b" \xff\xfe , \xe2\x80 ,b"))["caption"].numpy()
    assert sorted(made.split(b", ")) == [b"b", b"\xe2\x80", b"\xff\xfe"]


def test_all_orders_are_as_likely() -> None:
    made = [shuffled["caption"] for shuffled in over_seeds(ShuffleTags(), 600)]
    counts = collections.Counter(made)
    orders = {", ".join(order).encode() for order in itertools.permutations("abc")}
    assert set(counts) == orders
    assert 1e-3 < chance(np.array(list(counts.values()))) < 0.999

    kept = over_seeds(ShuffleTags(keep=1), 600, "z, a, b, c")
    counts = collections.Counter(shuffled["caption"] for shuffled in kept)
    assert set(counts) == {b"z, " + order for order in orders}
    assert 1e-3 < chance(np.array(list(counts.values()))) < 0.999


@pytest.mark.parametrize(
    ("text", "caption", "expected"),
    [
        ("{caption}", "a cat", "a cat"),
        ("a photo of {caption}, {} and {0}.", "a {cat}", "a photo of a {cat}, {} and {0}."),
        ("{caption}\\1 \\0\n", "{caption}", "{caption}\\1 \\0\n"),
        ("é{caption}🐈", "", "é🐈"),
    ],
)
def test_template(text: str, caption: str, expected: str) -> None:
    stage = Template(text=text)
    made = stage(example(caption))
    assert made["caption"].numpy().decode() == expected
    np.testing.assert_array_equal(made["seed"], SEED)
    for shape in ([2], [2, 3], [0]):
        batch = stage({"caption": tf.fill(shape, caption)})["caption"]
        assert batch.shape == shape
        assert {text.decode() for text in batch.numpy().ravel()} <= {expected}
    ragged = stage({"caption": tf.ragged.constant([[caption], [], [caption] * 2])})["caption"]
    assert ragged.to_list() == [[expected.encode()], [], [expected.encode()] * 2]


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_captions_are_dropped_at_their_rate(rate: float) -> None:
    count = 400
    made = over_seeds(DropCaption(rate=rate), count)
    assert {dropped["caption"] for dropped in made} <= {b"", b"a, b, c"}
    empty = sum(dropped["caption"] == b"" for dropped in made)
    assert abs(empty - rate * count) <= 4 * math.sqrt(rate * (1 - rate) * count)


def test_each_stage_leaves_another_seed() -> None:
    """Stages must be independent: a later one must not drop the captions of one order."""
    drop = DropCaption(rate=0.5)

    def both(given: dict[str, Any]) -> dict[str, Any]:
        shuffled = ShuffleTags()(given)
        return {**shuffled, "dropped": drop(shuffled)["caption"] == ""}

    made = over_seeds(both, 400, "a, b")
    counts = collections.Counter((m["caption"], bool(m["dropped"])) for m in made)
    assert len(counts) == 4
    assert chance(np.array(list(counts.values()))) > 1e-3
    twice = over_seeds(lambda given: {**drop(drop(given)), "once": drop(given)["caption"]}, 400)
    shares = [sum(m[name] == b"" for m in twice) / 400 for name in ("once", "caption")]
    assert abs(shares[0] - 0.5) < 0.1  # four standard deviations
    assert abs(shares[1] - 0.75) < 0.09


GATHERED: list[list[str]] = [
    ["a cat"],
    ["a, b", "line\nbreak", "\x1e", "🐈\u200d⬛", "é"],
    ["", "", "a", ""],
    [""],
    ["ÿ", "\ufffd"],
]


def test_gathered_captions_are_taken_apart() -> None:
    joined = [b"\xff".join(text.encode() for text in texts) for texts in GATHERED]
    made = SplitCaptions(separator=b"\xff")({"caption": tf.constant(joined), "row": 7})
    for name in ("caption", "references"):
        captions = [[text.decode() for text in texts] for texts in made[name].to_list()]
        assert captions == GATHERED
