"""Samples by the highest level of label they have."""

import numpy as np

from dense_al.pool.ledger import Ledger

# Highest level first: a fully labelled image is in `full` whatever else was answered about it.
LEVELS = {
    'full': 'image',
    'instances': 'instance',
    'regions': 'region',
    'points': 'point',
    'tags': 'tags',
}


def views(ledger: Ledger, round_number: int | None = None) -> dict[str, np.ndarray]:
    """Splits the labelled samples by their highest level.

    Args:
        ledger: What was answered.
        round_number: Round of the trainer, so that expired answers do not count.

    Returns:
        Level -> (S,) int64 sorted samples; the levels are disjoint.
    """
    samples: dict[str, set[int]] = {kind: set() for kind in LEVELS.values()}
    for answer in ledger.in_force(round_number):
        samples[answer.kind].add(answer.sample)
    taken: set[int] = set()
    result = {}
    for level, kind in LEVELS.items():
        result[level] = np.array(sorted(samples[kind] - taken), np.int64)
        taken |= samples[kind]
    return result
