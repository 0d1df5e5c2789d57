"""The contract every acquisition must pass; a test class inherits it and gives `acquisition`."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import pytest

from dense_al.acquisition import Acquisition, NothingLeftError, Selection
from dense_al.pool import Ledger, Prices, price_kind
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Budget, ElementRows, Query
from dense_al.testing.stub import GridUnits, StubTask


class AcquisitionContract(ABC):
    """Reproducible, within the budget, never the same unit twice, no global randomness.

    Attributes:
        form: What a label of a whole sample is, `pixels`, `boxes` or `masks`; it decides the price.
    """

    form = 'pixels'

    @abstractmethod
    def acquisition(self) -> Acquisition:
        """A fresh acquisition."""

    def rows(self) -> ElementRows:
        """What the acquisition observes of a small world."""
        task = StubTask(n_samples=6)
        units = GridUnits(task.manifest)
        acquisition = self.acquisition()
        parts = []
        for sample in range(len(task.manifest)):
            # The first pixels of each cell row as means: any model will do.
            prediction = next(_predictions(task, sample)) if acquisition.needs else None
            parts.append(acquisition.observe(prediction, sample, units))
        return ElementRows.concatenate(parts)

    def select(
        self,
        rows: ElementRows,
        budget: Budget | None = None,
        ledger: Ledger | None = None,
        seed: int = 0,
    ) -> Query:
        """One selection from `rows`."""
        given = self.given(budget or Budget(10), ledger, seed)
        return self.acquisition().select(rows, given)

    def given(self, budget: Budget, ledger: Ledger | None = None, seed: int = 0) -> Selection:
        """What one selection works from."""
        prices = Prices()
        return Selection(
            ledger=ledger or Ledger(),
            budget=budget,
            pool_elements=6 * 256,
            prices=lambda kind, size, sample, objects: prices.of(
                price_kind(kind, self.form), size, np.full(len(size), 256), objects
            ),
            rng=np.random.default_rng(seed),
            n_classes=4,
        )

    def test_scores_are_finite_and_rows_complete(self) -> None:
        rows = self.rows()
        assert np.isfinite(rows.score).all()
        assert rows.size.sum() == 6 * 256

    def test_same_seed_same_query(self) -> None:
        rows = self.rows()
        assert _keys(self.select(rows)) == _keys(self.select(rows))

    def test_order_of_the_rows_does_not_matter(self) -> None:
        rows = self.rows()
        mixed = rows.take(np.random.default_rng(3).permutation(len(rows)))
        assert _keys(self.select(rows)) == _keys(self.select(mixed))

    def test_global_randomness_is_neither_read_nor_changed(self) -> None:
        rows = self.rows()
        np.random.seed(1)
        first = _keys(self.select(rows))
        np.random.seed(2)
        before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
        assert _keys(self.select(rows)) == first
        assert (np.random.get_state()[1] == before).all()  # type: ignore[index]

    @pytest.mark.parametrize('unit', ['units', 'pixels', 'percent', 'clicks', 'seconds'])
    def test_budget_is_kept_and_used(self, unit: str) -> None:
        rows = self.rows()
        units = _units(rows)
        kind = self.acquisition().kind
        plenty = Budget(1e9, 'pixels' if unit == 'percent' else unit)
        spend = self.given(plenty).spend(kind, units)
        n = max(2, len(units) // 12)
        amount = n if unit == 'units' else 1.5 * n * spend.mean()
        budget = Budget(100 * amount / (6 * 256) if unit == 'percent' else amount, unit)
        by_key = dict(zip(_keys(units), spend))
        spent = sum(by_key[key] for key in _keys(self.select(rows, budget)))
        assert spent <= amount * (1 + 1e-9)
        assert spent > amount - spend.max() * (1 + 1e-9)

    def test_a_unit_that_no_round_can_pay_for_is_passed_over(self) -> None:
        rows = self.rows()
        others = 3 * int(rows.size.max())
        best = _keys(self.select(rows, Budget(1)))[0]
        dear = np.array([key == best for key in _keys(rows)]) & (rows.size > 0)
        rows = replace(rows, size=np.where(dear, others + 1, rows.size))
        query = self.select(rows, Budget(others, 'pixels'))
        assert len(query) and best not in _keys(query)
        with pytest.raises(ConfigError, match='the cheapest one left takes'):
            self.select(rows.take(dear | (rows.size == 0)), Budget(others, 'pixels'))

    def test_nothing_is_asked_twice(self) -> None:
        rows = self.rows()
        third = Budget(len(_units(rows)) // 3)
        first = self.select(rows, third)
        ledger = Ledger([_answers(first)])
        second = self.select(rows, third, ledger)
        assert not set(_keys(first)) & set(_keys(second))

    def test_last_round_takes_the_rest_and_then_nothing_is_left(self) -> None:
        rows = self.rows()
        query = self.select(rows, Budget(10 * len(rows)))
        units = _units(rows)
        assert sorted(_keys(query)) == sorted(zip(units.sample.tolist(), units.unit.tolist()))
        with pytest.raises(NothingLeftError, match='all'):
            self.select(rows, ledger=Ledger([_answers(query)]))

    def test_ties_are_broken_by_the_seed(self) -> None:
        rows = self.rows()
        flat = ElementRows.of_sample(0, np.zeros(len(rows)), rows.size)
        if rows.features is not None:
            same = np.repeat(rows.features[:1], len(rows), axis=0)
            flat = ElementRows.of_sample(0, np.zeros(len(rows)), rows.size, features=same)
        picks = {tuple(_keys(self.select(flat, seed=seed))) for seed in range(5)}
        assert len(picks) > 1


def _predictions(task: StubTask, sample: int):  # type: ignore[no-untyped-def]
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'means.npy'
        np.save(path, np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [2.0, 2.0]]))
        yield from task.predict(path, np.array([sample]), frozenset({'probs', 'features'}))


def _units(rows: ElementRows) -> ElementRows:
    """Rows that may be asked; an acquisition may add rows of no size to them."""
    return rows.take(rows.size > 0)


def _keys(query: Query | ElementRows) -> list[tuple[int, int]]:
    return list(zip(query.sample.tolist(), query.unit.tolist()))


def _answers(query: Query) -> list[Answer]:
    return [
        Answer(s, -1, u, query.kind, 'answered', 'test', 1, 0, 1.0, 1.0, -1, b'')
        for s, u in _keys(query)
    ]
