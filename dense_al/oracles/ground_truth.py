"""The simulated annotator: reads the label files, with optional noise and declines."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dense_al.oracles.base import Oracle
from dense_al.pool import UnitPixels, Units
from dense_al.registry import ORACLES
from dense_al.structures import (
    ANSWERED,
    DECLINED,
    IGNORE,
    Answer,
    Manifest,
    Query,
    dominant_class,
    encode_labels,
)


@ORACLES.register
class GroundTruth(Oracle):
    """Answers with the label of the data set.

    Args:
        noise: Probability in [0, 1] that a class within a unit is mistaken for another one.
        decline: Probability in [0, 1] that a unit is declined (billed, not answered).
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
    """

    needs_labels = True

    def __init__(
        self,
        noise: float = 0.0,
        decline: float = 0.0,
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
    ) -> None:
        super().__init__(prices, ask_declined_again)
        for name, value in (('noise', noise), ('decline', decline)):
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f'Expected `{name}` in [0, 1], but got {value!r}')
        self.noise, self.decline = noise, decline

    def answer(
        self,
        query: Query,
        manifest: Manifest,
        units: Units,
        read_label: Callable[[int], np.ndarray],
        n_classes: int,
        rng: np.random.Generator,
    ) -> list[Answer]:
        # One draw per unit in the order of the query, whatever is read when.
        declined = rng.random(len(query)) < self.decline
        seeds = rng.integers(0, 2**63, len(query))
        clicks, seconds = self.prices.of(query.kind, query.size, manifest.areas[query.sample])
        answers: dict[int, Answer] = {}
        for sample in np.unique(query.sample):
            label = read_label(int(sample)).ravel()
            pixels = UnitPixels(units.map(int(sample))) if query.kind != 'image' else None
            for i in np.flatnonzero(query.sample == sample):
                values = label if pixels is None else label[pixels[int(query.unit[i])]]
                if self.noise and not declined[i]:
                    noisy = np.random.default_rng(int(seeds[i]))
                    values = mistaken(values, self.noise, n_classes, noisy)
                answers[int(i)] = _answer(query, int(i), values, bool(declined[i]), clicks, seconds)
        return [answers[i] for i in range(len(query))]


def _answer(
    query: Query,
    i: int,
    values: np.ndarray,
    declined: bool,
    clicks: np.ndarray,
    seconds: np.ndarray,
) -> Answer:
    """The answer for row `i` of the query."""
    return Answer(
        sample=int(query.sample[i]),
        instance=int(query.instance[i]),
        unit=int(query.unit[i]),
        kind=query.kind,
        status=DECLINED if declined else ANSWERED,
        source='ground_truth',
        elements=len(values),
        category=-1 if declined else dominant_class(values),
        clicks=float(clicks[i]),
        seconds=float(seconds[i]),
        expires_round=-1,
        payload=b'' if declined else encode_labels(np.ascontiguousarray(values)),
    )


def mistaken(
    labels: np.ndarray, noise: float, n_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Labels in which each class present is mistaken for another one with probability `noise`.

    Args:
        labels: (P,) uint8 classes, 255 = none (stays).
        noise: Probability in [0, 1].
        n_classes: Number of classes, at least 2.
        rng: Source of randomness.

    Returns:
        (P,) uint8.
    """
    wrong = rng.random(n_classes) < noise
    shift = rng.integers(1, n_classes, n_classes)
    table = np.arange(256, dtype=np.uint8)
    classes = np.arange(n_classes)
    table[:n_classes] = np.where(wrong, (classes + shift) % n_classes, classes)
    table[IGNORE] = IGNORE
    return table[labels]
