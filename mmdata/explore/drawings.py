"""Makes the charts of a report from a survey."""

import numpy as np

from mmdata.dataset import Dataset
from mmdata.explore.charts import Chart, histogram, scatter
from mmdata.explore.survey import Survey


def drawings(survey: Survey, ds: Dataset | None) -> list[Chart]:
    """Returns all charts that have data.

    Args:
      survey: The figures.
      ds: The dataset that is built from the pairs, or None.
    """
    drawn = []
    if ds is not None and ds.has_tokens:
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
        summary=f"{fit.mean:.1f} on average, special ones included; sequence_length="
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
        summary=f"From {counts.min():,} to {counts.max():,}, {counts.mean():.1f} on average.",
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
        summary=f"Sides from {least:,} to {most:,} pixels, upright. Larger dots are more images.",
        x_label="width in pixels",
        y_label="height",
    )


def _aspects(survey: Survey, ds: Dataset | None) -> Chart:
    heights, widths = survey.sizes.T
    aspects = np.log2(widths / heights)
    buckets = () if ds is None else ds.pixels.buckets
    summary = (
        f"{100 * np.mean(aspects > 0):.0f} % are wider than tall, "
        f"{100 * np.mean(aspects < 0):.0f} % taller than wide."
    )
    return histogram(
        aspects,
        title="Aspect ratios",
        summary=f"{summary} Lines: the {len(buckets)} buckets." if buckets else summary,
        x_label="log2(width / height): 0 is square, 1 twice as wide",
        y_label="images",
        lines=[(float(np.log2(width / height)), "") for height, width in buckets],
    )


def _brightness(survey: Survey) -> Chart:
    brightness = survey.brightness
    return histogram(
        brightness,
        title="Brightness",
        summary=f"Mean of an image: 0 is black, 1 white. Median {np.median(brightness):.2f}.",
        x_label="brightness",
        y_label="images",
    )
