"""Single pixels: those whose class is least certain, or drawn from among them.

Shin et al., All You Need Are a Few Pixels: Semantic Segmentation with PixelPick, 2021. Xie et al.,
Towards Fewer Annotations: Active Learning via Region Impurity and Prediction Uncertainty for Domain
Adaptive Semantic Segmentation, 2022 (RIPU, its pixels).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Acquisition, Selection, check_share
from dense_al.acquisition.scores import pixel_score
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import ElementRows, Query, SegPrediction

TIE = 1e-9  # far below any difference of scores that means something


@ACQUISITIONS.register
class PixelUncertainty(Acquisition):
    """Asks for the class of single pixels.

    A pixel (unit = y * width + x) is offered once: those asked before, answered or declined, are
    left out. What `observe` draws comes from a stream of the round and the sample alone, so neither
    the order of the samples nor the number of processes matters. The published PixelPick never
    draws a pixel without a class, which it looks up; here it may be drawn, and is declined.

    Args:
        score: Config of the score of each pixel: `Random`, `Entropy`, `Margin`, `LeastConfidence`,
            `BestVersusSecondBest` or `RIPU`, as published
            ``dict(type='RIPU', radius=32, uncertainty_radius=0)``.
        per_image: Pixels asked of each image in a round, as the papers do; None: the best ones of
            all images. The budget bounds both.
        candidates: Pixels that each image offers where `per_image` is None.
        top: Share of an image's pixels that were not asked, best scores first, from which they are
            drawn with equal probability (PixelPick: 0.05); None: the best ones themselves.
        min_distance: Least distance of two pixels of an image, in rows or in columns; 1: any two
            (RIPU: 33). It holds for the pixels of all rounds.

    Raises:
        ConfigError: Values out of range.
    """

    kind = 'point'
    form = 'pixels'
    unit: Any = {'type': 'Image'}

    def __init__(
        self,
        score: Any = 'Entropy',
        per_image: int | None = 10,
        candidates: int = 10,
        top: float | None = None,
        min_distance: int = 1,
    ) -> None:
        numbers = {'candidates': candidates, 'min_distance': min_distance}
        if per_image is not None:
            numbers['per_image'] = per_image
        for name, number in numbers.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ConfigError(
                    f'Expected `acquisition.{name}` to be an integer of at least 1, '
                    f'but got {number!r}'
                )
        self.score = pixel_score(score, 'acquisition.score', or_random=True)
        self.needs = self.score.needs
        if self.needs and min_distance > 1:
            self.needs |= {'grid'}
        self.offered = self.per_sample = per_image or candidates
        self.top = check_share('top', top)
        self.min_distance = min_distance
        self._seed = 0
        self._asked: dict[int, np.ndarray] = {}

    @property
    def at_random(self) -> dict[str, Any]:
        return {'type': 'PixelUncertainty', 'score': 'Random', 'per_image': self.per_sample}

    def samples(self, unlabelled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # The one stream of the round that every process has before it observes.
        self._seed = int(rng.integers(2**63))
        return super().samples(unlabelled, rng)

    def recall(self, queries: Sequence[Query]) -> Any:
        asked = [query for query in queries if query.kind == self.kind]
        sample = np.concatenate([np.zeros(0, np.int64), *(query.sample for query in asked)])
        unit = np.concatenate([np.zeros(0, np.int64), *(query.unit for query in asked)])
        order = np.argsort(sample, kind='stable')
        samples, first = np.unique(sample[order], return_index=True)
        parts = np.split(unit[order], first[1:])
        self._asked = dict(zip(samples.tolist(), parts))
        return super().recall(queries)

    def observe(self, prediction: SegPrediction | None, sample: int, units: Units) -> ElementRows:
        height, width = size = units.map(sample).shape
        rng = np.random.default_rng([self._seed, sample])
        score = np.zeros(size)
        if prediction is not None:
            values = self.score(prediction.probs)
            values = values.cpu().numpy() if isinstance(values, torch.Tensor) else values
            score = np.asarray(values, np.float64)
        asked = np.stack(divmod(self._asked.get(sample, np.zeros(0, np.int64)), width), axis=1)
        at = self._chosen(score, asked, rng)
        return ElementRows(
            sample=np.full(len(at), sample, np.int64),
            instance=np.full(len(at), -1, np.int64),
            unit=at[:, 0] * width + at[:, 1],
            score=score[at[:, 0], at[:, 1]],
            size=np.ones(len(at), np.int64),
            category=np.full(len(at), -1, np.int64),
        )

    def _chosen(self, score: np.ndarray, asked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(K, 2) int64 y, x of the pixels that an image offers, K <= `offered`.

        Args:
            score: (H, W) float64.
            asked: (n, 2) int64 y, x of pixels that were asked before.
            rng: Source of the draws, equal scores included.
        """
        block = self.min_distance - 1
        closed = F.window_mask(asked, block, score.shape)
        order = score + TIE * rng.random(score.shape)
        if self.top is not None and not closed.all():
            free = order[~closed]
            among = F.top_count(self.top, len(free), self.offered)
            closed |= order < np.partition(free, -among)[-among]
            order = rng.random(score.shape)  # the highest of equal keys: a draw without return
        return F.ripu_select(order, self.offered, 0, active=closed, block=block)

    def order(
        self, rows: ElementRows, closed: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        if self.top is None:
            return super().order(rows, closed, spend, given)
        # The pixels were drawn: the budget must not choose the best of the draws.
        return given.rng.permutation(np.flatnonzero(~closed))
