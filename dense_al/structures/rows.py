"""Element rows and queries: what an acquisition produces."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

KINDS = ('image', 'tags', 'instance', 'region', 'point')
WHOLE = ('image', 'tags')  # kinds whose unit is the whole sample


@dataclass(frozen=True, eq=False)
class ElementRows:
    """One row per unit that may be asked, with what selection needs; never dense maps.

    Attributes:
        sample: (N,) int64 index into the manifest.
        instance: (N,) int64, -1 where the unit belongs to no instance.
        unit: (N,) int64 id within the sample (a region's id, 0 for the whole image).
        score: (N,) float64, finite, higher = ask first.
        size: (N,) int64 pixels or points of the unit.
        category: (N,) int64 class predicted for most of the unit, -1 where unknown.
        features: (N, D) float32, or None where the acquisition needs none.
        objects: (N,) float64 objects that are expected in each unit, NaN where nobody knows; None
            where that is so of all.
    """

    sample: np.ndarray
    instance: np.ndarray
    unit: np.ndarray
    score: np.ndarray
    size: np.ndarray
    category: np.ndarray
    features: np.ndarray | None = None
    objects: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.sample)
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and len(value) != n:
                raise ValueError(f'Expected `{field.name}` of length {n}, but got {len(value)}')
        if not np.isfinite(self.score).all():
            bad = int(np.flatnonzero(~np.isfinite(self.score))[0])
            raise ValueError(
                f'Expected finite scores, but got {self.score[bad]} for unit '
                f'{int(self.unit[bad])} of sample {int(self.sample[bad])}'
            )

    @classmethod
    def of_sample(
        cls,
        sample: int,
        score: np.ndarray,
        size: np.ndarray,
        category: np.ndarray | None = None,
        features: np.ndarray | None = None,
    ) -> 'ElementRows':
        """Rows of all units 0..R-1 of one sample; `score` and `size` are (R,)."""
        n = len(score)
        return cls(
            sample=np.full(n, sample, np.int64),
            instance=np.full(n, -1, np.int64),
            unit=np.arange(n, dtype=np.int64),
            score=np.asarray(score, np.float64),
            size=np.asarray(size, np.int64),
            category=np.full(n, -1, np.int64)
            if category is None
            else np.asarray(category, np.int64),
            features=None if features is None else np.asarray(features, np.float32),
        )

    @classmethod
    def concatenate(cls, parts: Sequence['ElementRows']) -> 'ElementRows':
        """All rows of `parts`, in order; no parts give no rows."""
        if not parts:
            return cls.of_sample(0, np.zeros(0), np.zeros(0))
        columns: dict[str, Any] = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            columns[field.name] = None if values[0] is None else np.concatenate(values)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: np.ndarray) -> 'ElementRows':
        """The rows at `index` (integers or a mask)."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name)[index]
                for field in fields(self)
                if getattr(self, field.name) is not None
            },
        )

    def sorted_by_key(self) -> 'ElementRows':
        """The rows ordered by (sample, instance, unit): the order every draw starts from."""
        order = np.lexsort((self.unit, self.instance, self.sample))
        return self.take(order)

    @property
    def keys(self) -> np.ndarray:
        """(N, 3) int64 sample, instance, unit."""
        return np.stack([self.sample, self.instance, self.unit], axis=1)

    def among(self, keys: np.ndarray) -> np.ndarray:
        """(N,) bool: which rows have one of (K, 3) int64 keys (sample, instance, unit)."""
        if not len(keys):
            return np.zeros(len(self), bool)
        own, others = _numbers(self, keys)
        return np.isin(own, others)


@dataclass(frozen=True, eq=False)
class Query:
    """The units asked in one round, best first.

    Attributes:
        kind: What a unit is: `image`, `tags` (of an image), `instance`, `region` or `point`.
        sample, instance, unit: (Q,) int64, the units' keys.
        score: (Q,) float64.
        size: (Q,) int64 pixels or points.
        notes: What the acquisition wants to remember of each unit, in its own coding, or None.
    """

    kind: str
    sample: np.ndarray
    instance: np.ndarray
    unit: np.ndarray
    score: np.ndarray
    size: np.ndarray
    notes: tuple[bytes, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'Expected `kind` to be one of {KINDS}, but got {self.kind!r}')
        if len(np.unique(_numbers(self)[0])) != len(self):
            raise ValueError('Expected every unit to be asked once, but got a repeated key')
        if self.notes is not None and len(self.notes) != len(self):
            raise ValueError(f'Expected {len(self)} notes, but got {len(self.notes)}')

    @classmethod
    def of_rows(cls, kind: str, rows: ElementRows) -> 'Query':
        """The query for `rows`, in their order."""
        return cls(kind, rows.sample, rows.instance, rows.unit, rows.score, rows.size)

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def keys(self) -> np.ndarray:
        """(Q, 3) int64 sample, instance, unit."""
        return np.stack([self.sample, self.instance, self.unit], axis=1)

    @cached_property
    def by_sample(self) -> dict[int, np.ndarray]:
        """Sample -> (q,) int64 its rows in the order of the query; samples ascending."""
        return by_sample(self.sample)

    def take(self, index: np.ndarray) -> 'Query':
        """The units at `index`, (K,) int64."""
        names = ('sample', 'instance', 'unit', 'score', 'size')
        notes = None if self.notes is None else tuple(self.notes[i] for i in index)
        return replace(self, notes=notes, **{name: getattr(self, name)[index] for name in names})

    def table(self) -> pa.Table:
        """The query as an Arrow table, one row per unit."""
        names = ('sample', 'instance', 'unit', 'score', 'size')
        columns = {name: getattr(self, name) for name in names}
        if self.notes is not None:
            columns['note'] = pa.array(self.notes, pa.binary())
        return pa.table(columns)

    @classmethod
    def of_table(cls, kind: str, table: pa.Table) -> 'Query':
        """Reads back what `table` wrote."""
        names = [name for name in table.column_names if name != 'note']
        columns = {name: table[name].to_numpy() for name in names}
        notes = tuple(table['note'].to_pylist()) if 'note' in table.column_names else None
        return cls(kind=kind, notes=notes, **columns)


def by_sample(sample: np.ndarray) -> dict[int, np.ndarray]:
    """Sample -> (n,) int64 the rows of (N,) that name it, ascending; samples ascending.

    >>> {sample: rows.tolist() for sample, rows in by_sample(np.array([7, 2, 7])).items()}
    {2: [1], 7: [0, 2]}
    """
    order = np.argsort(sample, kind='stable')
    first = np.flatnonzero(np.diff(sample[order], prepend=-1))
    samples = sample[order[first]].tolist()
    return dict(zip(samples, np.split(order, first[1:])))


def _numbers(*tables: ElementRows | Query | np.ndarray) -> list[np.ndarray]:
    """For each table of N keys (N,) int64 numbers, equal where the keys are.

    Args:
        *tables: Rows, queries or (N, 3) int64 keys (sample, instance, unit).
    """
    columns = [_columns(table) for table in tables]
    lowest = [min(int(c.min(initial=0)) for c in same) for same in zip(*columns)]
    highest = [max(int(c.max(initial=0)) for c in same) for same in zip(*columns)]
    _, instances, units = (high - low + 1 for low, high in zip(lowest, highest))
    if (highest[0] - lowest[0] + 1) * instances * units < 2**63:
        return [
            ((s - lowest[0]) * instances + (i - lowest[1])) * units + (u - lowest[2])
            for s, i, u in columns
        ]
    # So large numbers do not fit into one: count what occurs instead.
    keys = np.concatenate([np.stack(of_table, axis=1) for of_table in columns])
    number = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    return np.split(number, np.cumsum([len(c[0]) for c in columns[:-1]]))


def _columns(table: ElementRows | Query | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sample, instance and unit, each (N,) int64."""
    if isinstance(table, np.ndarray):
        return table[:, 0], table[:, 1], table[:, 2]
    return table.sample, table.instance, table.unit
