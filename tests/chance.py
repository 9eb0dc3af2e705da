"""Tests whether counts are as even as random counts are."""

from typing import Any

import numpy as np
import tensorflow as tf


def chance(*tables: Any) -> float:
    """How likely counts at least as uneven as those of all tables are, if each cell is as likely.

    Near 0 is too uneven, near 1 too even.

    Args:
      tables: Counts, [cells] each, that are independent of one another.

    Source: Pearson's chi-square test.
    """
    statistic = sum(((table - table.mean()) ** 2 / table.mean()).sum() for table in tables)
    freedom = sum(len(table) - 1 for table in tables)
    return float(tf.math.igammac(np.float64(freedom / 2), np.float64(statistic / 2)))
