"""Points on objects whose boxes are drawn: where the mask is least certain.

Li et al., APIS: Active Pointly-Supervised Instance Segmentation, ECCV 2022.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Acquisition, NothingLeftError, Selection, take
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError, nearest
from dense_al.structures import (
    Boxes,
    ElementRows,
    InstancePrediction,
    Instances,
    MaskOptions,
    Query,
)

METRICS = ('entropy', 'variance', 'mutual_information', 'random')
VIEWS = ('positives', 'flip', 'dropout')
TRIES = 16  # random draws before the free pixels of a box are listed
DRAWN = -1  # unit of a row whose pixel is drawn when it is asked


def mask_options(
    metric: str, views: str, most: int | None, passes: int, dropout: float
) -> MaskOptions:
    """What is asked of predicted masks, checked; the arguments are those of `PointUncertainty`.

    Raises:
        ConfigError: An unknown name, or a number out of range.
    """
    for name, value, valid in (('metric', metric, METRICS), ('views', views, VIEWS)):
        if value not in valid:
            raise ConfigError(
                f'Unknown `acquisition.{name}` {value!r}. {nearest(str(value), valid)}'
            )
    check_counts(passes=passes, most=most)
    if not isinstance(dropout, (int, float)) or not 0 < dropout < 1:
        raise ConfigError(f'Expected `acquisition.dropout` between 0 and 1, but got {dropout!r}')
    mean = metric == 'entropy'
    most = most or (32 if mean else 8)
    return MaskOptions(views=views, mean=mean, most=most, passes=passes, dropout=dropout)


def needs_of(metric: str) -> frozenset[str]:
    """What a metric needs of a prediction; `random` needs no masks."""
    return frozenset({'objects'} if metric == 'random' else {'objects', 'masks'})


def check_counts(**counts: int | None) -> None:
    """Refuses what is no integer of at least 1; None is left to its default."""
    for name, number in counts.items():
        if number is None:
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigError(
                f'Expected `acquisition.{name}` to be an integer of at least 1, but got {number!r}'
            )


@ACQUISITIONS.register
class PointUncertainty(Acquisition):
    """Asks whether a pixel in an object's box lies on the object.

    Objects with a whole mask are not asked about. Pixels are never asked twice, and drawn among
    equals. An object that the model says nothing about, or is certain of everywhere, is asked at a
    random pixel.

    Args:
        metric: `entropy` of the mean foreground probability (the margin would choose the same
            pixels), `variance` or `mutual_information` of several predictions, or `random`.
        per_instance: Points asked of each object, as the papers do; None: the best ones of all
            objects (beyond the papers). The budget bounds both.
        candidates: Points that each object offers where `per_instance` is None.
        views: Where the predictions come from: `positives`, `flip` or `dropout`, see `MaskOptions`.
        min_distance: Least distance in pixels between the points of one object.
        avoid_outline: Pixels nearer than this to the predicted outline are not asked, as people can
            hardly tell there; objects with no other pixel are asked anyway.
        most: Positives of an object; None: 32 for the mean, 8 where each counts on its own.
        passes: Passes with dropout.
        dropout: Its probability.

    Raises:
        ConfigError: Values out of range.
    """

    kind = 'point'
    observes = frozenset({'labelled'})
    unit: Any = {'type': 'Image'}

    def __init__(
        self,
        metric: str = 'entropy',
        per_instance: int | None = 1,
        candidates: int = 4,
        views: str = 'positives',
        min_distance: float = 0.0,
        avoid_outline: float = 0.0,
        most: int | None = None,
        passes: int = 8,
        dropout: float = 0.5,
    ) -> None:
        self.options = mask_options(metric, views, most, passes, dropout)
        check_counts(candidates=candidates, per_instance=per_instance)
        for name, distance in (('min_distance', min_distance), ('avoid_outline', avoid_outline)):
            if not isinstance(distance, (int, float)) or not 0 <= distance < np.inf:
                raise ConfigError(
                    f'Expected `acquisition.{name}` to be a number of at least 0, '
                    f'but got {distance!r}'
                )
        self.metric, self.offered = metric, per_instance or candidates
        self.min_distance, self.avoid_outline = float(min_distance), float(avoid_outline)
        self.needs = needs_of(metric)
        self._seed = 0

    def samples(self, unlabelled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # The one stream of the round that every process has before it observes.
        self._seed = int(rng.integers(2**63))
        return super().samples(unlabelled, rng)

    def observe(self, prediction: InstancePrediction, sample: int, units: Units) -> ElementRows:
        height, width = prediction.size
        limits = F.pixel_boxes(prediction.boxes, height, width)
        rng = np.random.default_rng([self._seed, sample])
        parts = []
        for i in np.flatnonzero(~prediction.has_mask):
            x0, y0, x1, y1 = limits[i]
            probs = prediction.maps[i] if prediction.maps else None
            at, score = self._best(probs, prediction.asked[i] - [y0, x0], rng)
            unit = (y0 + at[:, 0]) * width + x0 + at[:, 1]
            lacking = self.offered - len(unit)
            unit = np.concatenate([unit, DRAWN - np.arange(lacking)])
            parts.append(
                ElementRows(
                    sample=np.full(len(unit), sample, np.int64),
                    instance=np.full(len(unit), i, np.int64),
                    unit=unit,
                    score=np.concatenate([score, np.zeros(lacking)]),
                    size=np.ones(len(unit), np.int64),
                    category=np.full(len(unit), -1, np.int64),
                    # What a random pixel is drawn from.
                    features=np.tile(np.array([x0, y0, x1, y1, width], np.float32), (len(unit), 1)),
                )
            )
        return ElementRows.concatenate(parts)

    def _best(
        self, probs: np.ndarray | None, asked: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (k, 2) y, x of a box and (k,) scores above 0; none where there is no map."""
        if probs is None:
            return np.zeros((0, 2), np.int64), np.zeros(0)
        score = F.mask_uncertainty(probs, self.metric)
        if self.avoid_outline > 0:
            score = _away_from_outline(score, probs.mean(0) > 0.5, self.avoid_outline)
        far = self.min_distance
        at, value = F.peaks(score, self.offered, exclude=asked, min_distance=far, rng=rng)
        unsure = value > 1e-9
        return at[unsure], value[unsure]

    def select(self, rows: ElementRows, given: Selection) -> Query:
        if len(rows) == 0:
            raise NothingLeftError('Expected objects whose boxes are drawn, but got none')
        rows = rows.sorted_by_key()
        if self.metric == 'random':
            rows = replace(rows, score=given.rng.random(len(rows)))
        order = given.rng.permutation(len(rows))
        order = order[np.argsort(-rows.score[order], kind='stable')]
        spend = given.spend(self.kind, rows)
        rows, spend = rows.take(order), spend[order]
        unit = self._drawn(rows, given)
        rows, spend = replace(rows, unit=unit).take(unit >= 0), spend[unit >= 0]
        if len(rows) == 0:
            raise NothingLeftError('Expected pixels of objects left to ask, but got none')
        left = ~self.closed(rows, np.zeros(len(rows), bool), spend, given)
        picks = take(np.flatnonzero(left), spend, given.amount)
        return Query.of_rows(self.kind, rows.take(picks))

    def _drawn(self, rows: ElementRows, given: Selection) -> np.ndarray:
        """(N,) int64 pixels; random ones where none was chosen, -1 where no pixel is left."""
        assert rows.features is not None
        keys = list(zip(rows.sample.tolist(), rows.instance.tolist(), rows.unit.tolist()))
        known = {(a.sample, a.instance, a.unit) for a in given.ledger.units_asked(self.kind)}
        taken: dict[tuple[int, int], list[int]] = defaultdict(list)
        for sample, instance, pixel in known.union(keys, _drawn_with_boxes(rows, given)):
            if pixel >= 0:
                taken[sample, instance].append(pixel)
        unit = rows.unit.copy()
        for i in np.flatnonzero(rows.unit < 0):
            of_object = taken[keys[i][:2]]
            box = rows.features[i].astype(np.int64)
            unit[i] = _free_pixel(box, of_object, self.min_distance, given.rng)
            if unit[i] >= 0:
                of_object.append(int(unit[i]))
        return unit


def _drawn_with_boxes(rows: ElementRows, given: Selection) -> set[tuple[int, int, int]]:
    """Keys of the points that were answered together with the boxes of the rows' samples."""
    assert rows.features is not None
    widths = dict(zip(rows.sample.tolist(), rows.features[:, 4].astype(int).tolist()))
    found: set[tuple[int, int, int]] = set()
    for answer in given.ledger.in_force():
        if answer.sample in widths and Boxes.is_in(answer.payload):
            objects = Boxes.decode(answer.payload)
            if isinstance(objects, Instances):
                units = objects.points[..., 1] * widths[answer.sample] + objects.points[..., 0]
                found.update((answer.sample, i, int(u)) for i, row in enumerate(units) for u in row)
    return found


def _free_pixel(
    box: np.ndarray, taken: Sequence[int], distance: float, rng: np.random.Generator
) -> int:
    """A random pixel of a box that is at least a distance from all that are taken.

    Args:
        box: x0 y0 x1 y1 width; pixels are numbered y * width + x.
        taken: Pixels, which are not free whatever the distance.
        distance: In pixels.
        rng: Source of the draw.

    Returns:
        The pixel, -1 if none is free.
    """
    x0, y0, x1, y1, width = (int(v) for v in box)
    others = np.array([divmod(u, width) for u in taken], np.int64).reshape(-1, 2)
    least = max(distance**2, 0.5)

    def is_free(at: np.ndarray) -> np.ndarray:
        gap = at[:, None] - others
        return ((gap**2).sum(axis=2) >= least).all(axis=1)

    for _ in range(TRIES):
        at = np.array([[rng.integers(y0, y1), rng.integers(x0, x1)]])
        if is_free(at)[0]:
            return int(at[0, 0] * width + at[0, 1])
    every = np.argwhere(np.ones((y1 - y0, x1 - x0), bool)) + [y0, x0]
    free = every[is_free(every)]
    return int(rng.choice(free @ [width, 1])) if len(free) else -1


def _away_from_outline(score: np.ndarray, inside: np.ndarray, distance: float) -> np.ndarray:
    """A map without pixels near the outline; as it was where no other is left."""
    from scipy.ndimage import distance_transform_edt

    if inside.all() or not inside.any():
        return score
    far = np.maximum(distance_transform_edt(inside), distance_transform_edt(~inside))
    keep = far - 0.5 >= distance
    return np.where(keep, score, 0) if keep.any() else score
