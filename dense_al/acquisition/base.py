"""What every acquisition offers: `observe` a prediction, `select` from the rows."""

import logging
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dense_al.pool import Ledger, Units
from dense_al.registry import ConfigError
from dense_al.structures import Budget, ElementRows, Query

logger = logging.getLogger('dense_al')

SLACK = 1e-9
"""Share by which a sum may pass a budget: 0.1 + 0.2 must fit into 0.3."""


class NothingLeftError(ValueError):
    """Every unit of the pool has been asked."""


def rng_for(seed: int, round_number: int, purpose: str) -> np.random.Generator:
    """The stream of randomness of one purpose in one round.

    Args:
        seed: The run's seed, >= 0.
        round_number: -1 for the initial labels, then 0, 1 ...
        purpose: Name of the step that draws.
    """
    words = [seed, round_number + 1, zlib.crc32(purpose.encode())]
    return np.random.default_rng(np.random.SeedSequence(words))


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select` works from.

    Attributes:
        ledger: What was asked and answered.
        budget: The round's budget.
        pool_elements: Pixels or points of the whole pool, for budgets in percent.
        n_pool: Samples from this index on are of the source domain, and never asked; None: there is
            none.
        round_number: The round that asks, -1 for the initial labels.
        prices: (kind, size, sample, objects) -> clicks, seconds, each (N,), of units.
        rng: The only source of randomness.
        n_classes: Number of classes.
        ask_declined_again: Whether declined units may be asked again.
    """

    ledger: Ledger
    budget: Budget
    pool_elements: int
    prices: Callable[..., tuple[np.ndarray, np.ndarray]]
    rng: np.random.Generator
    n_classes: int
    ask_declined_again: bool = False
    n_pool: int | None = None
    round_number: int = 0

    def spend(self, kind: str, rows: ElementRows) -> np.ndarray:
        """(N,) float64: how much of the budget each row takes.

        Where a unit's price depends on what is drawn in it, that is what it is expected to take:
        with the objects that its row expects, else as many as the images answered so far have on
        average, before any is answered `EXPECTED_OBJECTS`. What is billed is what is drawn, so no
        such guess is beyond the budget: one unit can always be asked.
        """
        none = self._measure(kind, rows, np.zeros(len(rows)))
        if not self.budget.is_price:
            return none
        objects = np.full(len(rows), np.nan) if rows.objects is None else rows.objects
        objects = np.where(np.isnan(objects), self.ledger.expected_objects(kind), objects)
        return np.minimum(self._measure(kind, rows, objects), np.maximum(none, self.amount))

    def _measure(self, kind: str, rows: ElementRows, objects: np.ndarray) -> np.ndarray:
        """(N,) float64: how much of the budget each row takes with (N,) objects."""
        clicks, seconds = self.prices(kind, rows.size, rows.sample, objects)
        return self.budget.measure(rows.size, clicks, seconds)

    @property
    def amount(self) -> float:
        """How much may be spent, in the units of `spend`."""
        objects = self.ledger.objects if self.budget.unit == 'per_object' else 0
        return self.budget.amount(self.pool_elements, objects)


class Acquisition(ABC):
    """Base of all acquisitions.

    Attributes:
        needs: What of a prediction it reads (`probs`, `features`, `boxes` ...) and what the samples
            must be: `points` of scans, or pixels in a `grid`; empty: no model is run.
        observes: Which samples it must see: `pool` (those not labelled as a whole),
            `labelled`, `source` (another domain, labelled already).
        kind: Kind of its units.
        form: What a label of a whole sample must be (`pixels`, `boxes` or `masks`); None: anything.
        reads_tags: Whether it must know the tags of all samples.
        per_sample: How many units it asks of a sample in one round at most; None: no limit.
        unit: Config of its units, see `dense_al.regions`.
        subset: Share of the samples, drawn anew each round, that are observed; None: all.
        options: What else it asks of a prediction; the framework's adapter knows what it means.
        halo: Samples before and after its share that a process of several must see as well.
    """

    needs: frozenset[str] = frozenset()
    observes: frozenset[str] = frozenset({'pool'})
    kind: str = 'image'
    form: str | None = None
    reads_tags: bool = False
    per_sample: int | None = None
    unit: Any = None
    options: Any = None
    subset: float | None = None
    halo: int = 0

    @property
    def at_random(self) -> dict[str, Any]:
        """Config of what draws such units at random: the initial labels where none are given."""
        return {'type': 'Composed', 'unit': self.unit, 'score': 'Random'}

    def recall(self, queries: Sequence[Query]) -> Any:
        """What it asks of this round's predictions, given what was asked before.

        Args:
            queries: What was asked for the initial labels and in all rounds so far, with notes;
                units that were left to be asked again are not among them.
        """
        return self.options

    def samples(self, unlabelled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples to observe this round, a sorted subset of (S,) int64 `unlabelled`."""
        if self.subset is None or len(unlabelled) == 0:
            return unlabelled
        n = max(1, round(self.subset * len(unlabelled)))
        return np.sort(rng.choice(unlabelled, n, replace=False))

    def source_samples(self, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples of the source domain to observe, where it observes them at all."""
        return source

    def asked(self, rows: ElementRows, given: Selection) -> np.ndarray:
        """(N,) bool: which rows were asked before.

        Raises:
            NothingLeftError: All of them.
        """
        asked = given.ledger.asked(self.kind, rows, given.ask_declined_again)
        if asked.all():
            raise NothingLeftError(
                f'Expected {self.kind} units left to ask, but all {len(rows)} were asked'
            )
        return asked

    @abstractmethod
    def observe(self, prediction: Any, sample: int, units: Units) -> ElementRows:
        """Turns one prediction into one row per unit.

        Args:
            prediction: What the model says, or None where `needs` is empty.
            sample: Index into the manifest.
            units: The units of the samples.
        """

    def flush(self) -> ElementRows:
        """Rows that were held back until their window was complete."""
        return ElementRows.concatenate([])

    def closed(
        self, rows: ElementRows, asked: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        """(N,) bool: rows that are not asked, before or because no round can pay for them.

        Args:
            rows: All rows.
            asked: (N,) bool, rows that were asked before.
            spend: (N,) how much of the budget each row takes.
            given: The budget.

        Raises:
            ConfigError: The budget pays for none of the rows that were not asked.
        """
        dear = ~asked & (spend > given.amount * (1 + SLACK))
        if (asked | dear).all():
            raise too_dear(self.kind, spend[~asked], given)
        if dear.any():
            logger.warning(
                '%d of the %d %s units left take more than the %.6g %s of a round and cannot be '
                'asked',
                dear.sum(),
                (~asked).sum(),
                self.kind,
                given.amount,
                given.budget.unit,
            )
        return asked | dear

    def select(self, rows: ElementRows, given: Selection) -> Query:
        """Chooses what to ask; the order of `rows` does not matter.

        Raises:
            NothingLeftError: Every unit was asked before.
            ConfigError: The budget pays for no unit.
        """
        rows = rows.sorted_by_key()
        asked = self.asked(rows, given)
        rows = self.scored(rows, given)
        spend = given.spend(self.kind, rows)
        closed = self.closed(rows, asked, spend, given)
        picks = take(self.order(rows, closed, spend, given), spend, given.amount)
        return Query.of_rows(self.kind, rows.take(picks))

    def scored(self, rows: ElementRows, given: Selection) -> ElementRows:
        """Rows with the scores that only the whole pool and the ledger tell; as observed here."""
        return rows

    def order(
        self, rows: ElementRows, closed: np.ndarray, spend: np.ndarray, given: Selection
    ) -> np.ndarray:
        """Row numbers, best first: all that may be asked, or as many as the budget pays for.

        Here by score, ties in seeded random order.

        Args:
            rows: By key, with their scores.
            closed: (N,) bool, rows that are not asked.
            spend: (N,) how much of the budget each row takes.
            given: The budget, what is labelled, and the source of randomness.
        """
        return by_score(rows.score, ~closed, given.rng)

    def sampled(
        self,
        sampler: Callable[..., np.ndarray],
        rows: ElementRows,
        closed: np.ndarray,
        spend: np.ndarray,
        given: Selection,
    ) -> np.ndarray:
        """The order of a sampler, which sees the rows that may be asked and those labelled.

        What was declined is neither, so that nothing keeps its distance from it.
        """
        seen = np.flatnonzero(~closed | given.ledger.labelled(self.kind, rows))
        rows, labelled, spend = rows.take(seen), closed[seen], spend[seen]
        return seen[sampler(rows, labelled, spend, given.amount, given.rng)]

    def pseudo(self, rows: ElementRows, query: Query, given: Selection) -> Query | None:
        """Units that the model labels itself for the next round; None for none.

        Args:
            rows: All rows.
            query: What people are asked.
            given: As of the query.
        """
        return None


def too_dear(kind: str, spend: np.ndarray, given: Selection) -> ConfigError:
    """The error of a budget below (N,) `spend`, what each unit left takes."""
    return ConfigError(
        f'Expected `budget.per_round` to pay for at least one {kind}, but the cheapest one left '
        f'takes {spend.min():.6g} {given.budget.unit} and the budget is {given.amount:.6g}'
    )


def check_share(name: str, share: float | None) -> float | None:
    """Returns a share of something, None for all of it.

    Raises:
        ConfigError: It is not in (0, 1].
    """
    if share is not None and not 0 < share <= 1:
        raise ConfigError(f'Expected `acquisition.{name}` in (0, 1], but got {share!r}')
    return share


def by_score(score: np.ndarray, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of the rows `among`, (N,) bool, highest score first, ties in random order."""
    shuffled = rng.permutation(np.flatnonzero(among))
    return shuffled[np.argsort(-score[shuffled], kind='stable')]


def take(order: np.ndarray, spend: np.ndarray, amount: float) -> np.ndarray:
    """The longest beginning of `order` that stays within the budget.

    Args:
        order: (K,) row numbers, best first.
        spend: (N,) how much each row takes.
        amount: How much may be spent.

    Returns:
        The first rows of `order` whose sum is at most `amount`.

    >>> take(np.array([2, 0, 1]), np.array([1.0, 5.0, 2.0]), 3.5).tolist()
    [2, 0]
    >>> len(take(np.arange(2), np.array([0.1, 0.2]), 0.3))  # though 0.1 + 0.2 is a little more
    2
    """
    total = np.cumsum(spend[order])
    return order[: int(np.searchsorted(total, amount * (1 + SLACK), side='right'))]
