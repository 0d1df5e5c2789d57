"""What a run would do and cost, checked before it does anything.

What an image takes whose objects are drawn, nobody knows before it is: the plan counts with
`EXPECTED_OBJECTS` of each, says so, and refuses nothing for it.
"""

from dataclasses import dataclass

import numpy as np

from dense_al.acquisition import Acquisition
from dense_al.engine.learner import Learner
from dense_al.pool import EXPECTED_OBJECTS, WholeImages, counts_objects, price_kind
from dense_al.registry import ConfigError
from dense_al.structures import WHOLE, Budget, answer_type

Part = tuple[Acquisition, Budget, int, 'PoolEstimate']  # what asks how much in how many rounds
OF_SIZE = ('units', 'pixels', 'points', 'percent')  # units of budgets of which each takes 1 or more
SAMPLED = 16  # samples whose units are counted where counting them all would cost hours


@dataclass(frozen=True)
class PoolEstimate:
    """The units of the whole pool, and what labelling them all would cost.

    Attributes:
        units: Number of units.
        elements: Pixels or points.
        clicks: Clicks they are billed.
        seconds: Seconds they are billed.
        cheapest: Pixels or points, clicks and seconds of the units that take the least of each.
        exact: Whether every sample was counted; else `units` is scaled up from some.
    """

    units: float
    elements: float
    clicks: float
    seconds: float
    cheapest: tuple[float, float, float]
    exact: bool

    def amount(self, budget: Budget) -> float:
        """The pool in the unit of a budget."""
        by_unit = {'units': self.units, 'clicks': self.clicks, 'seconds': self.seconds}
        return by_unit.get(budget.unit, self.elements)

    def least(self, budget: Budget) -> float:
        """What the cheapest unit takes of a budget."""
        return float(budget.measure(*(np.array([value]) for value in self.cheapest))[0])


def estimate_pool(learner: Learner, acquisition: Acquisition, exact: bool) -> PoolEstimate:
    """Counts the units of an acquisition.

    Args:
        learner: The run.
        acquisition: Its kind decides which units.
        exact: Count every sample; else regions are counted in `SAMPLED` samples.
    """
    manifest = learner.task.manifest
    if acquisition.kind == 'point' and not _of_objects(learner, acquisition):
        return _pixels(learner)
    whole = acquisition.kind in WHOLE
    units = WholeImages(manifest) if whole else learner.units
    exact = exact or whole or manifest.n_pool <= SAMPLED
    samples: np.ndarray = manifest.pool
    if not exact:
        samples = np.unique(np.linspace(0, manifest.n_pool - 1, SAMPLED).astype(np.int64))
    sizes = [units.sizes(int(s)) for s in samples]
    size = np.concatenate(sizes)
    owner = np.repeat(samples, [len(s) for s in sizes])
    objects = EXPECTED_OBJECTS.get(acquisition.kind, 0.0)
    clicks, seconds = learner.prices(acquisition.kind, size, owner, objects)
    scale = manifest.n_pool / len(samples)
    return PoolEstimate(
        units=len(size) * scale,
        elements=float(manifest.pool_elements),
        clicks=float(clicks.sum()) * scale,
        seconds=float(seconds.sum()) * scale,
        cheapest=(float(size.min()), float(clicks.min()), float(seconds.min())),
        exact=exact,
    )


def _pixels(learner: Learner) -> PoolEstimate:
    """The pixels of the pool, each of them a unit."""
    manifest = learner.task.manifest
    areas = manifest.areas[manifest.pool]
    clicks, seconds = learner.prices('point', np.ones(len(areas)), manifest.pool, 0.0)
    return PoolEstimate(
        units=float(areas.sum()),
        elements=float(areas.sum()),
        clicks=float((clicks * areas).sum()),
        seconds=float((seconds * areas).sum()),
        cheapest=(1.0, float(clicks.min()), float(seconds.min())),
        exact=True,
    )


def _of_objects(learner: Learner, acquisition: Acquisition) -> bool:
    """Whether it asks about objects, whose number nobody knows beforehand."""
    return answer_type(acquisition.kind, learner.task.form).of_object


def plan(learner: Learner, exact: bool = False) -> str:
    """What a run would do, as text.

    Args:
        learner: A run that was built.
        exact: Count every unit of the pool.

    Raises:
        ConfigError: The rounds together would ask for more than the pool holds, or one would ask
            for nothing.
    """
    task, rounds, acquisition = learner.task, learner.rounds, learner.acquisition
    pool = estimate_pool(learner, acquisition, exact)
    parts: list[Part] = [(acquisition, learner.budget, rounds.count - 1, pool)]
    if isinstance(learner.initial, Acquisition):
        first = estimate_pool(learner, learner.initial, exact)
        parts.insert(0, (learner.initial, learner.initial_budget, 1, first))
    found = [_share(learner, *part) for part in parts]
    shares = [0.0 if share is None else share for share in found]
    # The tags of an image leave its boxes to be asked.
    tags = sum(s for s, (a, *_) in zip(shares, parts) if a.kind == 'tags')
    asked = sum(shares) - tags
    _check(learner, parts, shares)
    n_source = len(task.manifest.source)
    seconds = sum(s * whole.seconds for s, (*_, whole) in zip(shares, parts))
    clicks = sum(s * whole.clicks for s, (*_, whole) in zip(shares, parts))
    return '\n'.join(
        [
            f'samples   {task.manifest.n_pool:,} ({task.manifest.pool_elements:,} pixels or '
            f'points), {len(task.classes)} classes'
            + (f'; {n_source:,} labelled ones of a source domain' if n_source else ''),
            f'units     {_units(learner, pool)}',
            f'budget    {learner.budget.per_round:g} {learner.budget.unit} per round',
            f'rounds    {rounds.count}, asking for '
            + ('an unknown share' if None in found else f'about {100 * min(asked, 1):.3g} %')
            + ' of the pool'
            + (f' and the tags of {100 * min(tags, 1):.3g} %' if tags else ''),
            f'cost      about {seconds:,.0f} s ({seconds / 3600:.1f} h) and {clicks:,.0f} clicks '
            f'of annotation{_per_object(learner, tags > 0)}',
            f'needs     {", ".join(sorted(acquisition.needs)) or "no model"}',
        ]
    )


def _share(
    learner: Learner, acquisition: Acquisition, budget: Budget, times: int, pool: PoolEstimate
) -> float | None:
    """Share of the pool that `times` rounds ask; None: unknown, as what is asked costs nothing.

    Raises:
        ConfigError: The budget pays for no unit.
    """
    if acquisition.kind == 'tags' and not pool.least(budget):
        raise ConfigError(
            'Expected a budget in units or percent for tags, as their price is not known before '
            f'they are, but got one in {budget.unit}'
        )
    # How many objects there will be is not known, nor what their points are of the pool.
    if _of_objects(learner, acquisition):
        if budget.unit in OF_SIZE:
            _check_pays(learner, acquisition, budget, 1.0)
        return 0.0
    if budget.unit == 'per_object':
        return 0.0
    whole = pool.amount(budget)
    if whole <= 0:
        return None
    guess = _is_guess(learner, acquisition, budget)
    if not guess:  # an estimate may have missed the cheapest unit
        _check_pays(learner, acquisition, budget, pool.least(budget) * (1 if pool.exact else 0.1))
    amount = budget.amount(learner.task.manifest.pool_elements)
    share = times * min(amount / whole, _most(learner, acquisition, pool))
    return min(share, 1.0) if guess else share


def _check_pays(learner: Learner, acquisition: Acquisition, budget: Budget, least: float) -> None:
    """Raises `ConfigError` for a budget below what the cheapest unit takes."""
    amount = budget.amount(learner.task.manifest.pool_elements)
    if amount * (1 + 1e-9) < least:
        raise ConfigError(
            f'Expected `budget.per_round` to pay for at least one {acquisition.kind}, but the '
            f'cheapest takes {least:.6g} {_measure(budget)} and the budget is {amount:.6g}'
        )


def _is_guess(learner: Learner, acquisition: Acquisition, budget: Budget) -> bool:
    """Whether the share depends on how many objects the images have."""
    return budget.is_price and counts_objects(acquisition.kind, learner.task.form)


def _measure(budget: Budget) -> str:
    return 'pixels or points' if budget.unit == 'percent' else budget.unit


def _most(learner: Learner, acquisition: Acquisition, pool: PoolEstimate) -> float:
    """Share of the pool that is asked in one round at most, whatever the budget."""
    if acquisition.per_sample is None:
        return np.inf
    return acquisition.per_sample * learner.task.manifest.n_pool / pool.units


def _units(learner: Learner, pool: PoolEstimate) -> str:
    """How many units there are, as far as that is known."""
    acquisition = learner.acquisition
    if _of_objects(learner, acquisition):
        return f'{acquisition.kind}s of the objects, however many there will be'
    about = '' if pool.exact else 'about '
    if acquisition.per_sample is not None:
        most = acquisition.per_sample
        return f'{pool.units:,.0f} pixels, at most {most:,} of a sample in one round'
    return f'{about}{pool.units:,.0f} of kind {acquisition.kind}, {acquisition.unit}'


def _per_object(learner: Learner, with_tags: bool) -> str:
    """How many objects are counted with, and what each object, point and tag takes."""
    form, points = learner.task.form, learner.oracle.points
    if form == 'pixels':
        return ''
    text = f', if an image has {EXPECTED_OBJECTS["image"]:g} objects'
    text += f' and {EXPECTED_OBJECTS["tags"]:g} tags' if with_tags else ''
    text += _each(learner, price_kind('image', form, points), 'object')
    asked = learner.acquisition.kind == 'point' or points is not None
    text += _each(learner, 'point', 'point') if asked else ''
    return text + (_each(learner, 'tags', 'tag') if with_tags else '')


def _each(learner: Learner, kind: str, name: str) -> str:
    none, one = (learner.oracle.prices.of(kind, np.ones(1), np.ones(1), n) for n in (0, 1))
    if kind == 'point':
        none = (np.zeros(1), np.zeros(1))
    clicks, seconds = (float(b[0] - a[0]) for a, b in zip(none, one))
    return f'; {seconds:g} s and {clicks:g} clicks for each {name}'


def _check(learner: Learner, parts: list[Part], shares: list[float]) -> None:
    """Raises if more is asked than there is; an estimate may be wrong by a tenth."""
    asked = {'tags': 0.0, 'labels': 0.0}
    for (acquisition, budget, *_), share in zip(parts, shares):
        what = 'tags' if acquisition.kind == 'tags' else 'labels'
        asked[what] += 0.0 if _is_guess(learner, acquisition, budget) else share
    unit, exact = parts[0][1].unit, parts[-1][3].exact
    if max(asked.values()) > (1 + 1e-9 if exact else 1.1):
        each = ', '.join(f'{100 * share:.4g} %' for share in shares)
        raise ConfigError(
            f'Expected the budgets of all rounds together to be at most the pool, but they are '
            f'{100 * max(asked.values()):,.1f} % of it ({each}; initial labels first, in {unit}); '
            'lower `budget.per_round` or `rounds.count`'
        )
