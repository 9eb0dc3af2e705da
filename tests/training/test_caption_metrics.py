"""Scores of captions: those of coco-caption, and some computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from mmdata.training.caption_metrics import caption_scores
from mmdata.training.ptb_tokens import ptb_tokens

# The tokens and scores of these sentences were obtained from coco-caption (pycocoevalcap 1.2).
TOKENS = {
    "A man isn't on the woman's surf-board.": "a man is n't on the woman 's surf-board",
    "Don\u2019t feed the dogs' bowl!": "do n't feed the dogs bowl",
    '"Stop," says the red sign (in Rome) ...': "stop says the red sign -lrb- in rome -rrb-",
    "He cannot wait; she's gonna ski": "he can not wait she 's gon na ski",
    "The clock reads 11:44 or 4:05pm.": "the clock reads 11:44 or 4:05 pm",
    "A 22 3/4 St. sign and 1,000 birds & bees": "a 22\xa03/4 st. sign and 1,000 birds & bees",
    "A T.V. on a bed.The cat sleeps": "a t.v. on a bed.the cat sleeps",
    "Two signs: Main Ave. and 5th St.": "two signs main ave. and 5th st.",
    "The train is on track B.": "the train is on track b",  # since the next line begins with "A"
    "A train waits.": "a train waits",
    "The bus is on line C.": "the bus is on line c.",
    "two dogs play": "two dogs play",
    "'Tis the '90s, rock 'n' roll!!": "'t is the '90s rock 'n' roll !!",
    "Hors d'oeuvres and ma'am's o'clock tea": "hors d'oeuvres and ma'am 's o'clock tea",
    "a black/white photo - no. 5 of 10": "a black/white photo no. 5 of 10",
    "\u201cCafé\u201d sign \u2013 50% off ½ price": "café sign 50 % off 1/2 price",
    "": "",
}
CAPTIONS = [
    "a brown dog runs on the beach.",
    "Two people ride bikes down the street",
    "A plate of food",
    "",
    "a man a man a man is surfing",
]
REFERENCES = [
    [
        "A dog is running on the beach.",
        "A brown dog runs along the shore.",
        "The dog isn't wet.",
    ],
    [
        "Two people are riding bicycles on a city street.",
        "A man and a woman ride their bikes down the street.",
    ],
    [
        "A white plate topped with food and a fork.",
        "There's a plate of pasta on the table.",
        "A plate full of food",
        "Dinner is served.",
    ],
    ["A red stop sign on a pole."],
    ["A man is surfing on a big wave.", "The man rides a wave, and he's surfing."],
]
SCORES = {
    "bleu_1": 0.650317463550312,
    "bleu_2": 0.570929471226657,
    "bleu_3": 0.474006661005215,
    "bleu_4": 0.359897947940871,
    "rouge_l": 0.523972979734801,
    "cider_d": 1.662798421877462,
}


def test_tokens_are_those_of_coco_caption() -> None:
    assert ptb_tokens(list(TOKENS)) == list(TOKENS.values())


def test_case_does_not_matter_to_words() -> None:
    captions = ["DON'T FEED MR. FOX", "don't feed mr. fox"]
    assert ptb_tokens(captions) == ["do n't feed mr. fox"] * 2


def test_scores_are_those_of_coco_caption() -> None:
    assert caption_scores(CAPTIONS, REFERENCES) == pytest.approx(SCORES, rel=1e-12)


def test_scores_by_hand() -> None:
    scores = caption_scores(["a red boat", "a red car"], [["a red car"], ["the red car"]])
    assert scores["bleu_1"] == pytest.approx(4 / 6)  # 4 of 6 words
    assert scores["bleu_2"] == pytest.approx((4 / 6 * 2 / 4) ** 0.5)  # 2 of 4 pairs of words
    assert scores["rouge_l"] == pytest.approx(2 / 3)  # 2 of 3 words, in both directions
    # "red", "car" and "red car" are in the references of both images, so they weigh nothing. Of
    # the others, the first caption shares "a" of 2 words, and "a red" of 2 pairs, with a reference
    # that has 1 of each; the second caption shares nothing.
    assert scores["cider_d"] == pytest.approx(10 * (2 / 2**0.5 / 4 + 0) / 2)


@pytest.mark.parametrize(
    ("caption", "penalty"), [("a b c", 1), ("a b", math.exp(1 - 3 / 2)), ("a", math.exp(1 - 2))]
)
def test_brevity_penalty_is_of_the_closest_reference(caption: str, penalty: float) -> None:
    # The closest lengths to 3, 2 and 1 are 3, 3 and 2: of equally close ones, the shorter counts.
    references = ["a b c", "a b c d e"] if len(caption) > 1 else ["a b", "a b c"]
    scores = caption_scores([caption], [references])
    assert scores["bleu_1"] == pytest.approx(penalty)


def test_the_best_reference_counts_for_precision_and_for_recall() -> None:
    scores = caption_scores(["a b"], [["a b c d", "a"]])
    assert scores["rouge_l"] == pytest.approx(1)  # all of the caption, all of the second reference


def test_equal_captions_score_at_most() -> None:
    captions = ["a red car on the road", "two blue boats on the sea"]
    scores = caption_scores(captions, [[caption] for caption in captions])
    assert scores == pytest.approx({**dict.fromkeys(scores, 1.0), "cider_d": 10.0})


@pytest.mark.parametrize(
    ("captions", "references", "message"),
    [
        ([], [], "got 0 captions and 0 images"),
        (["a"], [["a"], ["b"]], "got 1 captions and 2 images"),
        (["a", "b"], [["a"], []], "with 0 or more references"),
    ],
)
def test_every_image_needs_a_caption_and_a_reference(
    captions: Sequence[str], references: Sequence[Sequence[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        caption_scores(captions, references)
