"""The report on caption lengths: every number against a loop, and the plot."""

import html
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch

from mmdata.captions.length_report import LengthReport

BLUE, VERMILION = "#0072b2", "#d55e00"


def report_of(
    tokens: Sequence[int],
    length: int = 8,
    buckets: tuple[int, ...] = (),
    unknown: Sequence[int] = (),
    special: int = 2,
) -> LengthReport:
    return LengthReport(
        token_counts=np.array(tokens, np.int32),
        unknown_counts=np.array(unknown or [0] * len(tokens), np.int32),
        special_tokens=special,
        sequence_length=length,
        buckets=buckets,
    )


def of_histogram(
    histogram: Mapping[int, int],
    length: int = 8,
    buckets: tuple[int, ...] = (),
    special: int = 2,
) -> LengthReport:
    return report_of(list(Counter(histogram).elements()), length, buckets, special=special)


# The figures, against loops over {tokens: captions}.


def padding_by_loop(histogram: Mapping[int, int], buckets: Sequence[int]) -> float:
    positions = padding = 0
    for tokens, captions in histogram.items():
        real = min(tokens, buckets[-1])
        padded = next(bucket for bucket in buckets if bucket >= real)
        positions += padded * captions
        padding += (padded - real) * captions
    return padding / positions


def cut_by_loop(histogram: Mapping[int, int], length: int) -> int:
    return sum(captions for tokens, captions in histogram.items() if tokens > length)


def length_by_loop(histogram: Mapping[int, int], special: int) -> int:
    length = special + 1
    while 1000 * cut_by_loop(histogram, length) > sum(histogram.values()):
        length += 1
    return length


def fewest_captions(histogram: Mapping[int, int], buckets: Sequence[int]) -> int:
    """Captions of the bucket that holds the fewest."""
    held = [cut_by_loop(histogram, bucket) for bucket in (-1, *buckets[:-1])] + [0]
    return min(above - below for above, below in itertools.pairwise(held))


def least_padding_by_search(histogram: Mapping[int, int], length: int) -> float:
    """What the best of all buckets >= 3 needs that hold at least 256 captions each, or of one."""
    return min(
        padding_by_loop(histogram, (*shorter, length))
        for count in range(4)
        for shorter in itertools.combinations(range(3, length), count)
        if not shorter or fewest_captions(histogram, (*shorter, length)) >= 256
    )


@st.composite
def reports(draw: st.DrawFn) -> LengthReport:
    special = draw(st.integers(0, 4))
    tokens = draw(st.lists(st.integers(special, special + 40), min_size=1, max_size=60))
    unknown = [draw(st.integers(0, count - special)) for count in tokens]
    buckets = sorted(draw(st.sets(st.integers(1, 50), min_size=1, max_size=5)))
    used = draw(st.sampled_from([(), tuple(buckets)]))
    return report_of(tokens, buckets[-1], used, unknown, special)


@given(report=reports())
@example(report=report_of([2, 2], 2))
@example(report=report_of([0], 1, special=0))
def test_figures_equal_a_loop(report: LengthReport) -> None:
    histogram = Counter(report.token_counts.tolist())
    captions, length = sum(histogram.values()), report.sequence_length
    special, recommended = report.special_tokens, length_by_loop(histogram, report.special_tokens)
    tokens = sum(count * captions for count, captions in histogram.items())
    ordinary = tokens - special * captions
    expected: dict[str, Any] = {
        "captions": captions,
        "mean": pytest.approx(tokens / captions),
        "longest": max(histogram),
        "special_tokens": special,
        "unknown_share": sum(report.unknown_counts.tolist()) / ordinary if ordinary else 0.0,
        "sequence_length": length,
        "buckets": list(report.buckets),
        "cut": cut_by_loop(histogram, length),
        "cut_share": cut_by_loop(histogram, length) / captions,
        "padding_share": padding_by_loop(histogram, report.buckets or (length,)),
        "recommended_length": recommended,
        "recommended_buckets": [recommended],  # there are too few captions for two
        "recommended_padding_share": padding_by_loop(histogram, [recommended]),
        "histogram": {str(count): histogram[count] for count in sorted(histogram)},
    }
    found = report.to_dict()
    assert found == expected
    assert list(found["histogram"]) == list(expected["histogram"])
    assert json.loads(json.dumps(found)) == found
    for name in found.keys() - {"histogram"}:
        value = getattr(report, name)
        assert type(value) in (int, float, tuple)
        assert (list(value) if isinstance(value, tuple) else value) == found[name]


@pytest.mark.parametrize(
    ("histogram", "special", "length"),
    [
        ({5: 1}, 2, 5),
        ({5: 998, 80: 1}, 2, 80),
        ({5: 999, 80: 1}, 2, 5),
        ({5: 998, 79: 1, 80: 1}, 2, 79),
        ({5: 1998, 80: 2}, 2, 5),
        ({5: 1997, 80: 3}, 2, 80),
        ({3: 5000, 4: 5}, 2, 3),
        ({3: 4000, 4: 5}, 2, 4),
        ({4: 10}, 4, 5),
        ({0: 10}, 0, 1),
    ],
    ids=str,
)
def test_recommended_length(histogram: dict[int, int], special: int, length: int) -> None:
    assert of_histogram(histogram, special=special).recommended_length == length


@pytest.mark.parametrize(
    ("histogram", "buckets"),
    [
        ({5: 300, 9: 300}, (5, 9)),
        ({5: 256, 9: 256}, (5, 9)),
        ({5: 255, 9: 300}, (9,)),
        ({5: 300, 9: 255}, (9,)),
        ({5: 200, 6: 200, 9: 200}, (9,)),
        ({5: 200, 6: 200, 9: 260}, (6, 9)),
        ({5: 100}, (5,)),
        ({4: 300, 5: 300, 6: 300, 7: 300}, (4, 5, 6, 7)),
        ({4: 300, 5: 400, 6: 600, 7: 600, 8: 600}, (5, 6, 7, 8)),
        ({4: 400, 5: 300, 6: 600, 7: 600, 8: 600}, (4, 6, 7, 8)),
        ({3: 3000, 5: 3000, 900: 6}, (3, 5)),
        ({2: 400}, (3,)),
        ({2: 400, 7: 400}, (3, 7)),
        ({2: 9000, 3: 4}, (3,)),
    ],
    ids=str,
)
def test_recommended_buckets(histogram: dict[int, int], buckets: tuple[int, ...]) -> None:
    assert of_histogram(histogram).recommended_buckets == buckets


@given(
    histogram=st.dictionaries(
        st.integers(2, 11), st.integers(1, 30) | st.integers(100, 900), min_size=1, max_size=8
    )
)
@example(histogram=dict.fromkeys(range(2, 12), 300))
@example(histogram={2: 256, 3: 255, 4: 257, 5: 256, 6: 300, 11: 1})
@example(histogram={4: 3000, 6: 3000, 9: 3000, 11: 5})
def test_no_other_buckets_need_less_padding(histogram: dict[int, int]) -> None:
    report = of_histogram(histogram)
    buckets = report.recommended_buckets
    assert len(buckets) <= 4
    assert buckets[-1] == report.recommended_length
    assert len(buckets) == 1 or fewest_captions(histogram, buckets) >= 256
    least = least_padding_by_search(histogram, buckets[-1])
    assert report.recommended_padding_share == padding_by_loop(histogram, buckets) == least


def test_many_lengths_take_no_time() -> None:
    report = of_histogram(dict.fromkeys(range(3, 4003), 1), special=3)
    assert report.recommended_buckets == (1001, 2000, 2999, 3998)  # 4 of 4,000 may be cut


# Printed text and warnings.


def test_text() -> None:
    histogram = {5: 40_000, 6: 30_000, 9: 25_000, 70: 5000}
    report = of_histogram(histogram, length=8, buckets=(5, 8))
    lines = [
        "100,000 caption(s), 9.6 tokens on average, 70 at most, 2 of them special; "
        "0.0 % unknown tokens",
        "                   lengths     captions cut  padding",
        "  now                 5, 8  30,000 (30.0 %)    8.8 %",
        "  recommended  5, 6, 9, 70        0 (0.0 %)    0.0 %",
    ]
    assert str(report).splitlines() == lines
    assert report._repr_html_() == f"<pre>{html.escape(str(report))}</pre>"


@pytest.mark.parametrize(
    ("unknown", "percent"),
    [(0, "0.0 %"), (1, "<0.1 %"), (4, "<0.1 %"), (5, "0.1 %"), (1249, "12.5 %"), (9999, "100.0 %")],
)
def test_shares_are_printed_as_percent(unknown: int, percent: str) -> None:
    report = report_of([10_001], 10_001, unknown=[unknown], special=1)
    assert f"; {percent} unknown tokens\n" in str(report)


def test_warning_knows_the_limit_of_a_model() -> None:
    fit = of_histogram({6: 9000, 20: 900, 90: 100})
    message = f"sequence_length={fit.sequence_length} cuts "
    assert fit.warning(most=fit.sequence_length) == str(fit.warning()).split(" sequence_length=")[0]
    assert str(fit.warning(most=fit.sequence_length)).startswith(message)
    assert "sequence_length=20, or" in str(fit.warning(most=20))
    assert fit.warning(most=1000) == fit.warning()


def test_warning() -> None:
    assert of_histogram({6: 980_000, 20: 18_900, 90: 1100}).warning() == (
        "sequence_length=8 cuts 20,000 of 1,000,000 captions (2.0 %); the longest has 90 tokens, "
        "special ones included. sequence_length=90, or text=Text(length=90), cuts none of them."
    )
    message = of_histogram({6: 1_960_000, 20: 38_500, 90: 1500}).warning()
    assert message is not None
    assert message.endswith("sequence_length=20, or text=Text(length=20), cuts 1,500 of them.")


@pytest.mark.parametrize(
    ("fit", "cut", "warns"),
    [(1, 0, False), (99, 1, False), (98, 1, True), (0, 1, True), (198, 2, False), (197, 3, True)],
)
def test_warns_of_more_than_one_in_a_hundred(fit: int, cut: int, warns: bool) -> None:
    assert (of_histogram({8: fit, 9: cut}).warning() is not None) is warns


# The picture.


@pytest.fixture(autouse=True)
def _no_display() -> Iterator[None]:
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def bars_of(ax: Axes) -> dict[str, dict[int, int]]:
    """What is drawn: colour -> {tokens: captions}."""
    found = {}
    for patch in ax.patches:
        assert isinstance(patch, StepPatch)
        heights, edges, _ = patch.get_data()
        left, right = edges.reshape(-1, 2).T
        assert (right - left).tolist() == pytest.approx([0.9] * len(left))
        assert not heights[1::2].any()
        places = np.round((left + right) / 2).astype(int)
        bars = zip(places.tolist(), heights[::2].tolist(), strict=True)
        found[to_hex(patch.get_facecolor())] = dict(bars)
    return found


def lines_of(ax: Axes) -> list[tuple[float, str]]:
    return [(float(np.ravel(line.get_xdata())[0]), str(line.get_linestyle())) for line in ax.lines]


COCO_LIKE = {9: 127, 10: 1258, 12: 5206, 15: 2259, 20: 199, 31: 20, 45: 3, 56: 1}
PICTURES = [
    (COCO_LIKE, 16, (11, 13, 16)),
    (COCO_LIKE, 32, ()),
    (COCO_LIKE, 512, (32, 512)),
    ({9: 1}, 32, ()),
    ({7: 400}, 6, (6,)),
    ({5: 200, 9: 1, 10: 1}, 8, ()),
    ({count: 10_000 // count**2 + 1 for count in range(3, 600)}, 16, (4, 8, 16)),
]


@pytest.mark.parametrize(("histogram", "length", "buckets"), PICTURES)
def test_every_caption_is_drawn_or_counted(
    histogram: dict[int, int], length: int, buckets: tuple[int, ...]
) -> None:
    report = of_histogram(histogram, length, buckets)
    ax = report.plot()
    fits = {tokens: n for tokens, n in histogram.items() if tokens <= length}
    right = ax.get_xlim()[1]
    cut = {tokens: n for tokens, n in histogram.items() if length < tokens < right}
    drawn = {color: bars for color, bars in ((BLUE, fits), (VERMILION, cut)) if bars}
    assert bars_of(ax) == drawn
    assert lines_of(ax) == [*((b + 0.5, ":") for b in buckets[:-1]), (length + 0.5, "-")]
    assert ax.get_xlim()[0] < 0
    assert right > length + 1
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > max(max(bars.values()) for bars in drawn.values())

    outside = {tokens: n for tokens, n in histogram.items() if tokens > right}
    lines = ax.get_xlabel().splitlines()
    assert lines[0] == "tokens of a caption, special ones included"
    assert lines[1:] == [
        f"(not drawn: {sum(outside.values()):,} of {min(outside):,} to {max(outside):,} tokens)"
        for _ in range(bool(outside))
    ]
    assert sum(outside.values()) <= report.captions / 100
    assert ax.get_ylabel() == f"captions (n = {report.captions:,})"


def test_title_and_legend() -> None:
    ax = of_histogram(COCO_LIKE, 16, (11, 13, 16)).plot()
    figure = ax.get_figure()
    assert figure is not None
    figure.canvas.draw()
    assert ax.get_title(loc="left") == "2.5 % of captions cut, 7.3 % padding"
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["fits", "is cut", "buckets 11, 13", "length 16"]
    assert "15" in [tick.get_text() for tick in ax.get_xticklabels()]
    assert "5,000" in [tick.get_text() for tick in ax.get_yticklabels()]
    # Nothing covers anything: bars, then the legend, then the title, within the figure.
    title = ax._left_title.get_window_extent()  # type: ignore[attr-defined]
    box = legend.get_window_extent()
    assert ax.get_window_extent().y1 <= box.y0 < box.y1 <= title.y0 < title.y1 <= figure.bbox.y1
    assert box.x1 <= figure.bbox.x1


def test_legend_names_what_is_drawn() -> None:
    for histogram, labels in (({5: 9}, ["fits", "length 8"]), ({9: 9}, ["is cut", "length 8"])):
        legend = of_histogram(histogram).plot().get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == labels


def test_ticks_are_whole_numbers() -> None:
    ax = report_of([3], 3).plot()
    assert (np.concatenate([ax.get_xticks(), ax.get_yticks()]) % 1 == 0).all()


def test_draws_where_it_is_asked_to() -> None:
    figure, (left, right) = pyplot.subplots(1, 2)
    assert report_of([5, 9]).plot(right) is right
    assert report_of([5, 9]).plot(ax=left) is left
    assert pyplot.get_fignums() == [figure.number]
    assert report_of([5, 9]).plot().get_figure() is not figure
    assert bars_of(left) == bars_of(right) == {BLUE: {5: 1}, VERMILION: {9: 1}}


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "mmdata\[plot\]"'):
        report_of([5]).plot()


# What is refused.

BUCKETS = r"LengthReport\(buckets=\.\.\.\) must be a tuple of ascending ints, >= 1"
COUNTS = r"LengthReport\(token_counts=\.\.\., unknown_counts=\.\.\.\) must be two arrays \[n\]"
UNKNOWN = r"LengthReport\(unknown_counts=\.\.\.\) must be from 0 to the tokens that are not special"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            (
                {"sequence_length": length},
                r"\(sequence_length=\.\.\.\) must be an int of at least 1",
            )
            for length in (0, -3, 8.0, "8", None)
        ),
        *(
            ({"special_tokens": count}, r"\(special_tokens=\.\.\.\) must be an int of at least 0")
            for count in (-1, 2.0, None)
        ),
        *(
            ({"buckets": buckets}, BUCKETS)
            for buckets in (
                (4,),
                (4, 9),
                (4, 8, 9),
                (6, 4, 8),
                (4, 4, 8),
                (8, 8),
                (0, 8),
                (-1, 8),
                (4.0, 8),
                ("4", 8),
                [4, 8],
                None,
                8,
            )
        ),
        ({"token_counts": []}, rf"{COUNTS}, n >= 1; got the shapes \(0,\) and \(3,\)"),
        ({"token_counts": [], "unknown_counts": []}, COUNTS),
        ({"unknown_counts": [0, 0]}, COUNTS),
        ({"token_counts": [[5, 6, 7]]}, COUNTS),
        ({"token_counts": [[5, 6, 7]], "unknown_counts": [[0, 0, 0]]}, COUNTS),
        ({"token_counts": 5, "unknown_counts": 0}, COUNTS),
        (
            {"unknown_counts": [0, 5, 0]},
            rf"{UNKNOWN}; got 5 of 6 token\(s\), 2 special, at index 1",
        ),
        (
            {"unknown_counts": [3, 4, 6]},
            rf"{UNKNOWN}; got 6 of 7 token\(s\), 2 special, at index 2",
        ),
        ({"unknown_counts": [-1, 0, 0]}, rf"{UNKNOWN}; got -1 of 5"),
        ({"token_counts": [5, 1, 7]}, rf"{UNKNOWN}; got 4 of 1 token"),
    ],
    ids=str,
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "token_counts": [5, 6, 7],
        "unknown_counts": [3, 4, 5],
        "special_tokens": 2,
        "sequence_length": 8,
        "buckets": (4, 8),
    }
    for name in ("token_counts", "unknown_counts"):
        fields[name] = np.array(fields[name], np.int32)
        if name in changes:
            changes = changes | {name: np.array(changes[name], np.int32)}
    LengthReport(**fields)
    with pytest.raises(ValueError, match=message):
        LengthReport(**fields | changes)
