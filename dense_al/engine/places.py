"""Places that several samples see: asked once, answered in all of them, billed once.

A place takes as much of the budget as the sample that sees most of it; what is labelled counts in
all samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dense_al.acquisition.functional import region_sum
from dense_al.pool import Units
from dense_al.structures import Answer, ElementRows, Query, by_sample


@dataclass(frozen=True, eq=False)
class Places:
    """Rows of one place as one row; where units belong to single samples, the rows as they are.

    Attributes:
        rows: One row per place: the key and size of its largest row, which comes first in
            `members`, and the means of score and features, weighted by size.
        members: Of each row the rows it stands for, by number; None: every row stands for itself.
        all_rows: The rows as they were observed.
    """

    rows: ElementRows
    members: tuple[np.ndarray, ...] | None
    all_rows: ElementRows

    def expanded(self, query: Query) -> Query:
        """The query with all rows of its places, place by place."""
        if self.members is None:
            return query
        keys = zip(self.rows.sample.tolist(), self.rows.unit.tolist())
        number = {key: i for i, key in enumerate(keys)}
        places = [number[key] for key in zip(query.sample.tolist(), query.unit.tolist())]
        found = [self.members[place] for place in places]
        score = np.repeat(query.score, [len(rows) for rows in found])
        rows = self.all_rows.take(np.concatenate([np.zeros(0, np.int64), *found]))
        return replace(Query.of_rows(query.kind, rows), score=score)


def places_of(rows: ElementRows, units: Units, kind: str, asked: np.ndarray) -> Places:
    """Brings the rows of each place together.

    Args:
        rows: As they were observed.
        units: The units; `groups` tells which place a unit is.
        kind: Kind of the rows.
        asked: (N,) bool or int64, rows that were asked before, which are kept apart from those that
            were not.
    """
    place = place_of_rows(rows, kind, units)
    if place is None:
        return Places(rows, None, rows)
    _, group = np.unique(np.column_stack([place, asked]), axis=0, return_inverse=True)
    group = group.ravel()
    # The largest row of a place stands for it; of equal ones that of the first sample.
    order = np.lexsort((rows.unit, rows.sample, -rows.size, group))
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    n = len(members)
    total = np.bincount(group, rows.size, n)
    share = rows.size / total[group]
    one = rows.take(np.array([rows_of[0] for rows_of in members], np.int64))
    score = np.bincount(group, rows.score * share, n)
    features = None
    if rows.features is not None:
        features = region_sum(rows.features * share[:, None], group, n).astype(np.float32)
    return Places(replace(one, score=score, features=features), tuple(members), rows)


def billed_once(answers: Sequence[Answer], units: Units) -> list[Answer]:
    """The answers, of which those about a place that was answered before in the list cost nothing.

    Args:
        answers: Of one round, in the order they were asked.
        units: The units; `groups` tells which place a unit is.
    """
    regions = [a for a in answers if a.kind == 'region']
    sample = np.array([a.sample for a in regions], np.int64)
    unit = np.array([a.unit for a in regions], np.int64)
    place = _place(sample, unit, units) if regions else None
    if place is None:
        return list(answers)
    paid = {id(regions[i]) for i in set(place.tolist())}
    return [
        a if a.kind != 'region' or id(a) in paid else replace(a, clicks=0.0, seconds=0.0)
        for a in answers
    ]


def place_of_rows(rows: ElementRows | Query, kind: str, units: Units) -> np.ndarray | None:
    """(N,) int64 of each row the first row about the same place; None for units of one sample.

    Args:
        rows: Units by key.
        kind: Their kind; only regions may be places.
        units: The units; `groups` tells which place a unit is.
    """
    if kind != 'region' or not len(rows):
        return None
    return _place(rows.sample, rows.unit, units)


def _place(sample: np.ndarray, unit: np.ndarray, units: Units) -> np.ndarray | None:
    cells = units.groups(int(sample[0]))
    if cells is None:
        return None
    sequences = units.manifest.sequences
    number = {name: i for i, name in enumerate(dict.fromkeys(sequences))}
    found = np.zeros((len(sample), 1 + cells.shape[1]), np.int64)
    for one, here in by_sample(sample).items():
        found[here, 0] = number[sequences[one]]
        found[here, 1:] = np.asarray(units.groups(one))[unit[here]]
    _, first, place = np.unique(found, axis=0, return_index=True, return_inverse=True)
    return first[place.ravel()]
