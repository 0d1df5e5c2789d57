"""Images in which a weakly supervised detector boxed a part beside the whole.

BiB: Vo et al., Active Learning Strategies for Weakly-Supervised Object Detection, ECCV 2022.
"""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import Selection, take
from dense_al.acquisition.detection import ImagesWithBoxes
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS, ConfigError, check_range, nearest
from dense_al.structures import DetectionOptions, DetPrediction, ElementRows, Query

CONTAINERS = ('all', 'first')
VARIANTS = ('diverse', 'random', 'half')
PLACE = 8  # last columns of a pair's row: the small box and the big one
logger = logging.getLogger('dense_al')


@ACQUISITIONS.register
class BoxInBox(ImagesWithBoxes):
    """Diverse images among those with box-in-box pairs.

    A pair is a box inside a much larger one of the same class, among the classes known to be in the
    image (of all classes where its tags are not known). Images are drawn by k-means++ over the
    pairs, an image bringing all of its pairs; pairs of images labelled before stay centres, with
    the boxes of then and the features of now. Where the paired images do not use up the budget, the
    rest is drawn among the others.

    With a budget in clicks or seconds an image counts what labelling the objects predicted in it
    would cost; what is billed is what was drawn.

    Args:
        score_thr: A box counts above this score.
        min_cover: Share of the small box inside the big one, at least.
        min_area_ratio: Area of the big box over the small one's, at least.
        containers: `all` big boxes of a small one, or the `first`, as the released code.
        variant: `diverse` as above; `random` among the paired images; `half` of the budget diverse
            and the rest random among all.
        per_cost: Whether an image is chosen for its gain per predicted cost instead of its gain.
        pca: Dimensions the pairs' features are reduced to; 0: none.
        object_thr: A box above this score counts as an object when the cost is predicted.
        nms_iou: Boxes of one class that overlap more are suppressed.
        max_boxes: Best boxes of an image that are looked at.
    """

    def __init__(
        self,
        score_thr: float = 0.1,
        min_cover: float = 0.8,
        min_area_ratio: float = 3.0,
        containers: str = 'all',
        variant: str = 'diverse',
        per_cost: bool = False,
        pca: int = 0,
        object_thr: float = 0.5,
        nms_iou: float = 0.3,
        max_boxes: int = 100,
    ) -> None:
        for name, value, valid in (
            ('containers', containers, CONTAINERS),
            ('variant', variant, VARIANTS),
        ):
            if value not in valid:
                raise ConfigError(
                    f'Unknown `acquisition.{name}` {value!r}. {nearest(str(value), valid)}'
                )
        for name, share in (('score_thr', score_thr), ('min_cover', min_cover)):
            check_range(f'acquisition.{name}', share, 0, 1)
        check_range('acquisition.object_thr', object_thr, 0, 1)
        check_range('acquisition.min_area_ratio', min_area_ratio, 0)
        if not isinstance(pca, int) or pca < 0:
            raise ConfigError(f'Expected `acquisition.pca` to be at least 0, but got {pca!r}')
        self.rule: dict[str, Any] = dict(
            score_thr=score_thr,
            min_cover=min_cover,
            min_area_ratio=min_area_ratio,
            containers=containers,
        )
        self.variant, self.per_cost, self.pca = variant, per_cost, pca
        self.object_thr = object_thr
        self.needs = frozenset({'boxes', 'box_features'})
        self.observes = frozenset({'pool', 'labelled'})
        self.options = DetectionOptions(
            score_thr=(thr := min(score_thr, object_thr)),
            nms_iou=nms_iou,
            nms_pre=100_000,
            max_boxes=max_boxes,
            pair_thr=thr,
        )

    def recall(self, queries: Sequence[Query]) -> DetectionOptions:
        remembered = {
            int(sample): _boxes_of(note).reshape(-1, 4)
            for query in queries
            for sample, note in zip(query.sample, query.notes or ())
            if note
        }
        return replace(self.options, remembered=remembered)

    def observe(self, prediction: DetPrediction, sample: int, units: Units) -> ElementRows:
        """A row for the image, with its predicted objects, and one of no size for each pair."""
        features, boxes = prediction.box_features, prediction.boxes
        if features is None:
            raise ValueError('Expected a prediction with box features, but got none')
        scores: np.ndarray = np.zeros(0)
        if prediction.remembered is not None:
            features = prediction.remembered
            boxes = np.zeros((len(features), 4), np.float32)
            pairs: Any = np.arange(len(features)).reshape(-1, 2)
        else:
            tags = prediction.tags
            tags = np.arange(prediction.probs.shape[1]) if tags is None else tags
            pairs = F.box_in_box_pairs(
                boxes, prediction.labels, prediction.scores, tags, **self.rule
            )
            scores = prediction.scores[np.isin(prediction.labels, tags)]
        table = np.zeros((1 + len(pairs), 2 * features.shape[1] + PLACE), np.float32)
        table[1:, :-PLACE] = features[pairs].reshape(len(pairs), table.shape[1] - PLACE)
        table[1:, -PLACE:] = boxes[pairs].reshape(len(pairs), PLACE)
        n = len(table)
        return ElementRows(
            sample=np.full(n, sample, np.int64),
            instance=np.arange(n, dtype=np.int64) - 1,
            unit=np.zeros(n, np.int64),
            score=np.r_[float(len(pairs)), np.zeros(len(pairs))],
            size=np.r_[units.sizes(sample), np.zeros(n - 1, np.int64)],
            category=np.full(n, -1, np.int64),
            features=table,
            objects=np.r_[self._objects(scores), np.zeros(len(pairs))],
        )

    def select(self, rows: ElementRows, given: Selection) -> Query:
        rows = rows.sorted_by_key()
        assert rows.features is not None
        images, pairs = rows.take(rows.instance < 0), rows.take(rows.instance >= 0)
        assert pairs.features is not None
        asked = self.asked(images, given)
        spend = given.spend(self.kind, images)
        owner = np.searchsorted(images.sample, pairs.sample)
        # Of labelled images only what is remembered counts; those pairs carry no boxes.
        labelled = given.ledger.labelled(self.kind, images)
        closed = self.closed(images, asked, spend, given)
        stays = ~closed[owner] | (labelled[owner] & ~pairs.features[:, -PLACE:].any(axis=1))
        pairs, owner = pairs.take(stays), owner[stays]
        assert pairs.features is not None
        paired = np.bincount(owner, minlength=len(images)) > 0
        order = self._order(pairs.features[:, :-PLACE], owner, closed, paired, spend, given)
        picks = take(order, spend, given.amount)
        query = Query.of_rows(self.kind, images.take(picks))
        place = pairs.features[:, -PLACE:]
        return replace(query, notes=tuple(_note(place[owner == i]) for i in picks))

    def _order(
        self,
        features: np.ndarray,
        owner: np.ndarray,
        closed: np.ndarray,
        paired: np.ndarray,
        spend: np.ndarray,
        given: Selection,
    ) -> np.ndarray:
        """Images, best first; others than paired ones only once all of those are among them."""
        candidates = np.flatnonzero(~closed & paired)
        first = candidates
        if self.variant == 'random':
            first = given.rng.permutation(candidates)
        elif len(candidates):
            share = 0.5 if self.variant == 'half' else 1.0
            first = self._diverse(features, owner, closed, spend, share * given.amount, given.rng)
        if self.variant != 'half' and len(first) < len(candidates):
            return first
        others = np.flatnonzero(~closed if self.variant == 'half' else ~closed & ~paired)
        rest = given.rng.permutation(np.setdiff1d(others, first))
        if self.variant != 'half' and len(rest) and spend[first].sum() < given.amount:
            logger.info(
                'box in box: %d images have pairs, the budget pays for more; '
                'the rest is drawn at random',
                len(candidates),
            )
        return np.concatenate([first, rest])

    def _diverse(
        self,
        features: np.ndarray,
        owner: np.ndarray,
        closed: np.ndarray,
        spend: np.ndarray,
        amount: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Paired images in the order of k-means++, as many as the amount pays for.

        Args:
            features: (P, D) of the pairs.
            owner: (P,) image of each pair.
            closed: (N,) bool images that are not asked; those with pairs, all of them labelled, are
                the centres to begin with.
            spend: (N,) predicted cost of each image.
            amount: How much may be spent.
            rng: Source of randomness.
        """
        if self.pca:
            features = _reduced(features, self.pca, rng)
        groups = np.unique(owner)
        seeds, fresh = groups[closed[groups]], groups[~closed[groups]]
        order: Any = np.zeros(0, np.int64)
        if len(seeds) == 0:  # the image with most pairs, one of them where there are several
            count = np.bincount(owner)[fresh]
            order = fresh[[rng.choice(np.flatnonzero(count == count.max()))]]
        expected = amount / max(spend[fresh].mean(), 1e-12)
        trials = 2 + int(np.log(max(len(seeds) + expected, 1)))
        while len(order) < len(fresh) and spend[order].sum() < amount * (1 - 1e-9):
            left = (amount - spend[order].sum()) / max(spend[fresh].mean(), 1e-12)
            n = int(np.clip(np.ceil(left), 1, len(fresh) - len(order)))
            centres = np.concatenate([seeds, order])
            chosen = F.grouped_kmeans_pp(
                features,
                owner,
                len(centres) + n,
                seed_groups=centres,
                n_trials=trials,
                costs=spend[groups] if self.per_cost else None,
                rng=rng,
            )
            order = chosen[len(seeds) :]
        return take(order, spend, amount)


def _reduced(features: np.ndarray, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """(P, d) the features on their principal axes, d at most what they have."""
    from sklearn.decomposition import PCA

    d = min(dimensions, *features.shape)
    return PCA(d, svd_solver='randomized', random_state=int(rng.integers(2**31))).fit_transform(
        features
    )


def _note(place: np.ndarray) -> bytes:
    """The boxes of an image's pairs, packed; empty for none."""
    return zlib.compress(place.astype('<f4').tobytes()) if len(place) else b''


def _boxes_of(note: bytes) -> np.ndarray:
    """(P, 2, 4) float32 what `_note` packed."""
    return np.frombuffer(zlib.decompress(note), '<f4').reshape(-1, 2, 4)
