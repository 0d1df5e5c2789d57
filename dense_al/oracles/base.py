"""What every oracle offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.pool import Ledger, Prices, Units, counts_objects, price_kind
from dense_al.registry import ConfigError
from dense_al.structures import (
    ANSWERED,
    DECLINED,
    Answer,
    Budget,
    Label,
    Manifest,
    Pixels,
    Query,
)


class WaitingForAnswers(Exception):
    """People have not answered yet; the run ends cleanly and goes on when they have."""


@dataclass(frozen=True, eq=False)
class Asking:
    """A query on its way to an oracle.

    Attributes:
        query: What is asked.
        folder: Folder of the round, for what is exchanged with people.
        manifest: The samples.
        units: The units they are divided into.
        classes: Class names; a label is an index into them.
        read_label: Sample -> label of the data set, to simulate people.
        rng: Source of randomness.
        form: What a label of a whole sample is: `pixels`, `boxes` or `masks`.
        ledger: What was answered before.
        budget: What may be spent; None: whatever the query takes.
        place: (N,) int64 of each row the first row about the same place in the world; None: each is
            about a place of its own.
        scans: Whether the samples are LiDAR scans, their pixels the points.
    """

    query: Query
    folder: Path
    manifest: Manifest
    units: Units
    classes: list[str]
    read_label: Callable[[int], Label]
    rng: np.random.Generator
    form: str = 'pixels'
    ledger: Ledger = field(default_factory=Ledger)
    budget: Budget | None = None
    place: np.ndarray | None = None
    scans: bool = False

    def enough(self, answers: Sequence[Answer]) -> int | None:
        """How many of the answers, in their order, use up the budget; None: they do not.

        Only prices that depend on what is drawn can use it up before all is answered; what is known
        beforehand the query keeps to. The last answer may go beyond the budget, no other one does.
        """
        if self.budget is None or not self.budget.is_price:
            return None
        if not counts_objects(self.query.kind, self.form):
            return None
        clicks, seconds = ([getattr(a, name) for a in answers] for name in ('clicks', 'seconds'))
        bill = np.cumsum(clicks if self.budget.unit == 'clicks' else seconds)
        reached = np.flatnonzero(bill >= self.budget.per_round * (1 - 1e-9))
        return 1 + int(reached[0]) if len(reached) else None


class Oracle(ABC):
    """Who answers.

    Args:
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
        points: Where the model learns masks, how many points, drawn at random, are asked of each
            object in the place of its mask (0: its box alone); None: the mask.
        dominant: Where labels are of pixels, whether a region or an image gets one class for all
            its pixels, the most frequent one, for one click (Cai et al. 2021); it is declined where
            nobody can say the class of any of its pixels.
    """

    source = ''
    reads_labels = False  # whether it answers from the labels of the data set

    def __init__(
        self,
        prices: dict[str, Any] | None = None,
        ask_declined_again: bool = False,
        points: int | None = None,
        dominant: bool = False,
    ) -> None:
        whole = isinstance(points, int) and not isinstance(points, bool)
        if points is not None and (not whole or points < 0):
            raise ConfigError(
                f'Expected `oracle.points` to be an integer of at least 0, but got {points!r}'
            )
        if not isinstance(dominant, bool):
            raise ConfigError(
                f'Expected `oracle.dominant` to be True or False, but got {dominant!r}'
            )
        self.points, self.dominant, self.unsure = points, dominant, 0.0
        self.prices = Prices(prices)
        self.ask_declined_again = ask_declined_again

    @abstractmethod
    def answer(self, asking: Asking) -> list[Answer]:
        """Answers for units of the query, in its order; units left out stay in the pool.

        Once `asking.enough` says that the budget is used up, nothing more is asked.

        Raises:
            WaitingForAnswers: Not answered yet.
        """

    def _said(self, label: Label | None) -> Label | None:
        """What is answered of a label: itself, or its most frequent class everywhere.

        Pixels without any class are declined.
        """
        if isinstance(label, Pixels) and label.category < 0:
            return None
        return label.dominant() if self.dominant and label is not None else label

    def _answers(self, asking: Asking, labels: Mapping[int, Label | None]) -> list[Answer]:
        """Answers for rows of the query.

        Args:
            asking: The query.
            labels: Row -> what was said of it; None = declined.
        """
        query = asking.query
        objects, points = np.zeros((2, len(query)), np.int64)
        for i, label in labels.items():
            if label is not None:
                objects[i], points[i] = label.drawn, label.n_points
        areas = asking.manifest.areas[query.sample]
        kind = price_kind(query.kind, asking.form, self.points, self.dominant)
        clicks, seconds = self.prices.of(kind, query.size, areas, objects)
        each = self.prices.of('point', np.ones(len(query)), areas)
        clicks, seconds = clicks + points * each[0], seconds + points * each[1]
        return [
            Answer(
                sample=int(query.sample[i]),
                instance=int(query.instance[i]),
                unit=int(query.unit[i]),
                kind=query.kind,
                status=DECLINED if label is None else ANSWERED,
                source=self.source,
                elements=_elements(query, i, label),
                category=-1 if label is None else label.category,
                clicks=float(clicks[i]),
                seconds=float(seconds[i]),
                expires_round=-1,
                payload=b'' if label is None else label.encode(),
            )
            for i, label in sorted(labels.items())
        ]


def _elements(query: Query, row: int, label: Label | None) -> int:
    """Pixels or points that are asked about and, where it was answered, labelled."""
    size = int(query.size[row])
    if label is not None:
        return label.elements(size)
    return 0 if query.kind == 'tags' else size
