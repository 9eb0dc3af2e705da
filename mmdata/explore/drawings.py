"""A survey -> the charts of a report."""

import numpy as np

from mmdata.dataset import Dataset
from mmdata.explore.charts import Chart, histogram, scatter
from mmdata.explore.survey import Survey


def drawings(survey: Survey, ds: Dataset | None) -> list[Chart]:
    """All charts for which there is something to draw.

    Args:
      survey: The figures.
      ds: What is made of the captions and the sizes; or None.
    """
    drawn = []
    if ds is not None and ds.task.has_text:
        drawn.append(_lengths(ds))
    if survey.captions_per_image.any():
        drawn.append(_captions_an_image(survey))
    if len(survey.sizes):
        drawn += [_sizes(survey), _aspects(survey, ds)]
    if len(survey.brightness):
        drawn.append(_brightness(survey))
    return drawn


def _lengths(ds: Dataset) -> Chart:
    fit = ds.length_report
    lines = [(length + 0.5, str(length)) for length in fit.buckets[:-1]]
    return histogram(
        fit.token_counts,
        title="Tokens of a caption",
        told=f"{fit.mean:.1f} on average, special ones included; sequence_length="
        f"{fit.sequence_length} cuts {fit.cut:,} of {fit.captions:,} captions "
        f"({100 * fit.cut_share:.1f} %).",
        x_label="tokens",
        y_label="captions",
        whole=True,
        limit=fit.sequence_length,
        lines=[*lines, (fit.sequence_length + 0.5, f"cut at {fit.sequence_length}")],
    )


def _captions_an_image(survey: Survey) -> Chart:
    counts = survey.captions_per_image
    return histogram(
        counts,
        title="Captions of an image",
        told=f"From {counts.min():,} to {counts.max():,}, {counts.mean():.1f} on average.",
        x_label="captions",
        y_label="images",
        whole=True,
    )


def _sizes(survey: Survey) -> Chart:
    heights, widths = survey.sizes.T
    least, most = survey.sizes.min(), survey.sizes.max()
    return scatter(
        heights,
        widths,
        title="Sizes",
        told=f"Sides from {least:,} to {most:,} pixels, upright. The area of a dot says how many.",
        x_label="width in pixels",
        y_label="height",
    )


def _aspects(survey: Survey, ds: Dataset | None) -> Chart:
    heights, widths = survey.sizes.T
    aspects = np.log2(widths / heights)
    buckets = () if ds is None else ds.pixels.buckets
    told = (
        f"{100 * np.mean(aspects > 0):.0f} % are wider than high, "
        f"{100 * np.mean(aspects < 0):.0f} % higher than wide."
    )
    return histogram(
        aspects,
        title="Aspect ratios",
        told=f"{told} Lines: the {len(buckets)} buckets." if buckets else told,
        x_label="log2(width / height): 0 is square, 1 twice as wide",
        y_label="images",
        lines=[(float(np.log2(width / height)), "") for height, width in buckets],
    )


def _brightness(survey: Survey) -> Chart:
    brightness = survey.brightness
    return histogram(
        brightness,
        title="Brightness",
        told=f"Of an image on average: 0 is black, 1 white. Median {np.median(brightness):.2f}.",
        x_label="brightness",
        y_label="images",
    )
