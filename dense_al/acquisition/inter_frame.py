"""LiDAL: regions on which the frames of a sequence disagree (Hu et al., ECCV 2022)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.acquisition.base import SLACK, Acquisition, NothingLeftError, Selection, too_dear
from dense_al.acquisition.composed import unit_categories
from dense_al.acquisition.frame_window import FrameWindow
from dense_al.acquisition.functional.inter_frame import MEASURES
from dense_al.pool import Units
from dense_al.registry import ACQUISITIONS
from dense_al.structures import ElementRows, Query, ScanOptions, SegPrediction

ENTROPY, PLACE, SEQUENCE, MATCHED = 0, slice(1, 4), 4, 5
"""Columns of the features of a row: entropy of the fused predictions in nats, centre in metres in
the world of the sequence, number of the sequence, share of the points with a match."""
MODES = ('strict', 'paper')


@dataclass(frozen=True, eq=False)
class _Frame:
    """What is held of a frame: its (P, C) probabilities, (P, 1) labels, (P, 3) places and
    (P,) regions.

    `search` is where its points are looked for: a tree, None where none is needed, or, if the
    probabilities lie on a GPU, cells there.
    """

    sample: int
    sequence: int
    probs: Any
    labels: np.ndarray
    points: np.ndarray
    regions: np.ndarray
    size: np.ndarray
    search: Any


@ACQUISITIONS.register
class InterFrame(Acquisition):
    """Regions of scans whose points the neighbouring frames take for something else.

    The score of a region is the mean divergence of its points, see `inter_frame_scores`. Scans are
    seen in one pass, sequence by sequence, and only a window of frames is held.

    Args:
        unit: Config of the units, regions of scans.
        n_neighbours: Frames that each frame is compared with, half of them before it.
        stride: Frames from one neighbour to the next, by their numbers in the sequence.
        max_distance: Metres up to which the nearest point of another frame is the same place.
        min_distance: Metres between the centres of regions that show different places.
        mode: `strict`: exactly within the budget, and no region near one that was labelled in any
            round; `paper`: as released, see `select_inter_frame`.
        matched_only: Whether the mean is over the points with a match, not over all.
        min_matched: Regions with a smaller share of matched points have divergence 0.
        measure: `kl` as published, or `js`, which is bounded, see `inter_frame_scores`.
        passes: Augmented views of a scan whose probabilities are averaged; 8 as published, 1: the
            scan as it is.
        approximate: Match by voxels, see `inter_frame_scores`; on a GPU matches are exact anyway.
        pseudo: Whether the regions of the lowest divergence are labelled by the model for one
            round. They are neither asked nor labelled by the model again in the round after.
        pseudo_budget: How much the model labels, as a multiple of what is asked.
        pseudo_distance: `min_distance` of the regions the model labels; None: the same.
    """

    needs = frozenset({'probs', 'points'})
    observes = frozenset({'pool', 'labelled'})
    kind = 'region'

    def __init__(
        self,
        unit: Any,
        n_neighbours: int = 24,
        stride: int = 1,
        max_distance: float = 0.1,
        min_distance: float = 5.0,
        mode: str = 'strict',
        matched_only: bool = False,
        min_matched: float = 0.0,
        measure: str = 'kl',
        passes: int = 1,
        approximate: bool = False,
        pseudo: bool = False,
        pseudo_budget: float = 1.0,
        pseudo_distance: float | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'Expected `mode` in {MODES}, but got {mode!r}')
        if measure not in MEASURES:
            raise ValueError(f'Expected `measure` in {MEASURES}, but got {measure!r}')
        for name, value in (('max_distance', max_distance), ('pseudo_budget', pseudo_budget)):
            if not 0 < value < np.inf:
                raise ValueError(f'Expected `{name}` > 0, but got {value!r}')
        pseudo_distance = min_distance if pseudo_distance is None else pseudo_distance
        for name, value in (('min_distance', min_distance), ('pseudo_distance', pseudo_distance)):
            if not 0 <= value < np.inf:
                raise ValueError(f'Expected `{name}` >= 0, but got {value!r}')
        if not 0 <= min_matched <= 1:
            raise ValueError(f'Expected `min_matched` in [0, 1], but got {min_matched!r}')
        if not isinstance(passes, int) or passes < 1:
            raise ValueError(f'Expected `passes` to be an integer of at least 1, but got {passes}')
        self.unit = unit
        self.options = ScanOptions(passes=passes)
        self.max_distance, self.approximate = max_distance, approximate
        self.min_distance, self.mode = min_distance, mode
        self.measure = measure
        self.matched_only, self.min_matched = matched_only, min_matched
        self.with_pseudo, self.pseudo_budget = pseudo, pseudo_budget
        self.pseudo_distance = pseudo_distance
        self._window: FrameWindow[_Frame] = FrameWindow(n_neighbours, stride)
        self._sequence = ''
        self.halo = self._window.reach

    def observe(self, prediction: SegPrediction, sample: int, units: Units) -> ElementRows:
        manifest = units.manifest
        sequences = manifest.sequences
        done = self._window.close() if sequences[sample] != self._sequence else []
        self._sequence = sequences[sample]
        points = units.points(sample)
        probs, search = self._searchable(prediction.probs[..., 0].T.contiguous(), points)
        frame = _Frame(
            sample=sample,
            sequence=sequences.index(self._sequence),
            probs=probs,
            labels=prediction.labels,
            points=points,
            regions=units.map(sample).ravel(),
            size=units.sizes(sample),
            search=search,
        )
        done += self._window.add(int(manifest.frames[sample]), frame)
        return ElementRows.concatenate([self._rows(*item) for item in done])

    def flush(self) -> ElementRows:
        return ElementRows.concatenate([self._rows(*item) for item in self._window.close()])

    def _searchable(self, probs: torch.Tensor, points: np.ndarray) -> tuple[Any, Any]:
        """Probabilities as they are compared, and where the points of the frame are looked for."""
        if probs.is_cuda:
            there = torch.as_tensor(points, device=probs.device)
            return probs, F.frame_cells(there, self.max_distance)
        tree = None if self.approximate else F.search_tree(points)
        return np.ascontiguousarray(probs.numpy(), np.float32), tree

    def _scores(self, frame: _Frame, neighbours: list[_Frame]) -> tuple[np.ndarray, ...]:
        """Divergence, entropy and matches of the points of a frame."""
        probs = [other.probs for other in neighbours]
        search = [other.search for other in neighbours]
        if isinstance(frame.probs, torch.Tensor):
            xyz = torch.as_tensor(frame.points, device=frame.probs.device)
            found = F.inter_frame_scores_on_device(
                frame.probs, xyz, probs, search, measure=self.measure
            )
            return tuple(values.cpu().numpy() for values in found)
        return F.inter_frame_scores(
            frame.probs,
            frame.points,
            probs,
            [other.points for other in neighbours],
            max_distance=self.max_distance,
            approximate=self.approximate,
            measure=self.measure,
            neighbour_trees=None if self.approximate else search,
        )

    def _rows(self, frame: _Frame, neighbours: list[_Frame]) -> ElementRows:
        """Rows of the regions of a frame."""
        divergence, entropy, matches = self._scores(frame, neighbours)
        n = len(frame.size)
        values = np.column_stack([divergence, entropy, matches > 0, frame.points])
        mean = F.region_mean(values, frame.regions, n)
        score, matched = mean[:, 0], mean[:, 2]
        if self.matched_only:
            score = score / np.where(matched > 0, matched, 1)
        score = np.where(matched >= self.min_matched, score, 0)
        number = np.full(n, frame.sequence)
        features = np.column_stack([mean[:, 1], mean[:, 3:], number, matched])
        category = unit_categories(frame.labels, frame.regions, n)
        return ElementRows.of_sample(frame.sample, score, frame.size, category, features)

    def select(self, rows: ElementRows, given: Selection) -> Query:
        rows = rows.sorted_by_key()
        asked = self.asked(rows, given)
        open_rows = ~asked & ~given.ledger.by_model(self.kind, rows, given.round_number)
        if not open_rows.any():
            raise NothingLeftError('Expected regions that the model did not label, but got none')
        spend = given.spend(self.kind, rows)
        labelled = given.ledger.labelled(self.kind, rows)
        picks = self._picks(rows, open_rows, labelled, spend, given.amount, True, given.rng)
        if not len(picks):
            if spend[open_rows].min() > given.amount:
                raise too_dear(self.kind, spend[open_rows], given)
            raise NothingLeftError(
                f'Expected places left to ask, but all {open_rows.sum()} open regions lie within '
                f'{self.min_distance} m of labelled ones; lower `min_distance`'
            )
        return Query.of_rows(self.kind, rows.take(picks))

    def pseudo(self, rows: ElementRows, query: Query, given: Selection) -> Query | None:
        if not self.with_pseudo:
            return None
        rows = rows.sorted_by_key()
        closed = given.ledger.asked(self.kind, rows, given.ask_declined_again)
        closed |= given.ledger.by_model(self.kind, rows, given.round_number)
        closed |= rows.among(query.keys)
        spend = given.spend(self.kind, rows)
        amount = self.pseudo_budget * given.amount
        nothing = np.zeros(len(rows), bool)
        picks = self._picks(rows, ~closed, nothing, spend, amount, False, given.rng)
        return Query.of_rows(self.kind, rows.take(picks)) if len(picks) else None

    def _picks(
        self,
        rows: ElementRows,
        candidates: np.ndarray,
        before: np.ndarray,
        spend: np.ndarray,
        amount: float,
        largest: bool,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Row numbers by the published rule; ties in seeded order, but not in mode `paper`."""
        assert rows.features is not None
        strict = self.mode == 'strict'
        order = rng.permutation(len(rows)) if strict else np.arange(len(rows))
        features = rows.features[order].astype(np.float64)
        picks = F.select_inter_frame(
            rows.score[order],
            features[:, ENTROPY],
            spend[order],
            features[:, PLACE],
            candidates[order],
            amount * (1 + SLACK),
            min_distance=self.min_distance if largest else self.pseudo_distance,
            largest=largest,
            mode=self.mode,
            chosen_before=before[order],
            sequence=features[:, SEQUENCE].astype(np.int64),
        )
        return order[picks]
