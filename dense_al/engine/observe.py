"""Observing the pool: predictions become rows, one sample at a time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.acquisition import Acquisition
from dense_al.adapters.task import Task
from dense_al.engine.distribution import gather, share, world
from dense_al.pool import Ledger, Units, WholeImages
from dense_al.progress import bar
from dense_al.structures import WHOLE, ElementRows


def observe(
    task: Task,
    acquisition: Acquisition,
    units: Units,
    samples: np.ndarray,
    checkpoint: Path,
    ledger: Ledger,
    options: Any,
    progress: bool = True,
    on_half: Callable[[], None] = lambda: None,
) -> tuple[ElementRows, float]:
    """Rows of the samples, in the first process those of all processes, in the others none.

    Args:
        task: Predicts.
        acquisition: Turns predictions into rows.
        units: The units the samples are divided into.
        samples: (S,) int64 sorted indices into the manifest.
        checkpoint: Weights to predict with.
        ledger: What is known of the samples.
        options: What the acquisition asks of the predictions of this round.
        progress: Whether to show a bar with the time left.
        on_half: Called once, half way.

    Returns:
        The rows, and this process's seconds inside the model.
    """
    if acquisition.kind in WHOLE:
        units = WholeImages(task.manifest, units)
    own = share(samples)
    mine = with_halo(own, samples, acquisition.halo)
    parts, forward = [], 0.0
    if not acquisition.needs:
        parts = [acquisition.observe(None, int(s), units) for s in mine]
    else:
        found = task.predict(checkpoint, mine, acquisition.needs, options, ledger)
        predictions = iter(found)
        show = progress and world()[0] == 0
        for i, sample in enumerate(bar(mine, 'observing', len(mine), show)):
            begun = time.perf_counter()
            prediction = next(predictions)
            forward += time.perf_counter() - begun
            parts.append(acquisition.observe(prediction, int(sample), units))
            if i == len(mine) // 2:
                on_half()
    parts.append(acquisition.flush())
    if len(mine) > len(own):
        parts = [part.take(np.isin(part.sample, own)) for part in parts]
    everyone = [p for part in gather([p for p in parts if len(p)]) for p in part]
    return ElementRows.concatenate(everyone), forward


def with_halo(own: np.ndarray, samples: np.ndarray, halo: int) -> np.ndarray:
    """A process's share and up to `halo` samples before and after it; without a share nothing.

    >>> with_halo(np.array([4, 5]), np.array([1, 2, 4, 5, 8]), 1).tolist()
    [2, 4, 5, 8]
    """
    if len(own) == 0:
        return own
    first, last = np.searchsorted(samples, own[[0, -1]])
    return samples[max(first - halo, 0) : last + 1 + halo]
