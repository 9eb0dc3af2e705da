"""From samples to figures."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from mmdata.benchmarks.contending import Sample


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """Medians over the rounds.

    Attributes:
      cpu_ms: Milliseconds of CPU time an item, on all cores together.
      cpu_ms_min, cpu_ms_max: The same of the best and the worst round.
      ratio: CPU time beside that of the floor in the same round; None where there is no floor.
      items_per_second: By the clock.
      peak_mb: Megabytes of memory that the largest process has held.
    """

    cpu_ms: float
    cpu_ms_min: float
    cpu_ms_max: float
    ratio: float | None
    items_per_second: float
    peak_mb: float


def figures(samples: Sequence[Sample], floor: Sequence[Sample]) -> Figures:
    """Sums up the rounds of a contender; `floor` has as many, or none."""
    cpu = [cpu_ms(sample) for sample in samples]
    return Figures(
        cpu_ms=statistics.median(cpu),
        cpu_ms_min=min(cpu),
        cpu_ms_max=max(cpu),
        ratio=ratio(samples, floor, cpu_ms),
        items_per_second=statistics.median(map(rate, samples)),
        peak_mb=max(sample.peak for sample in samples) / 1e6,
    )


def ratio(
    samples: Sequence[Sample], others: Sequence[Sample], value: Callable[[Sample], float]
) -> float | None:
    """Median of how many times the value of the others it is in the same round.

    Args:
      samples: A sample a round.
      others: As many, or none, which have no ratio.
      value: What of a sample is compared.
    """
    ratios = [
        value(ours) / value(theirs) for ours, theirs in zip(samples, others, strict=bool(others))
    ]
    return statistics.median(ratios) if ratios else None


def cpu_ms(sample: Sample) -> float:
    """Milliseconds of CPU time an item."""
    return 1e3 * sample.cpu / sample.items


def rate(sample: Sample) -> float:
    """Items a second, by the clock."""
    return sample.items / sample.wall
