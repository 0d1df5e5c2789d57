"""How much may be asked."""

from dataclasses import dataclass

import numpy as np

from dense_al.registry import ConfigError, nearest

BUDGET_UNITS = ('units', 'per_object', 'pixels', 'points', 'percent', 'clicks', 'seconds')


@dataclass(frozen=True)
class Budget:
    """What one round may spend.

    Attributes:
        per_round: The amount, > 0.
        unit: `units` (images, regions ...), `per_object` (units for each object that has a box, on
            average), `pixels`, `points`, `percent` (of all pixels or points of the pool), `clicks`
            or `seconds`.
    """

    per_round: float
    unit: str = 'units'

    def __post_init__(self) -> None:
        if self.unit not in BUDGET_UNITS:
            raise ConfigError(
                f'Unknown `budget.unit` {self.unit!r}. {nearest(self.unit, BUDGET_UNITS)}'
            )
        number = isinstance(self.per_round, (int, float)) and not isinstance(self.per_round, bool)
        if not number or not np.isfinite(self.per_round) or self.per_round <= 0:
            raise ConfigError(
                f'Expected `budget.per_round` to be a number above 0, but got {self.per_round!r}'
            )
        if self.unit == 'percent' and self.per_round > 100:
            raise ConfigError(
                f'Expected `budget.per_round` of at most 100 percent, but got {self.per_round}'
            )

    @property
    def is_price(self) -> bool:
        """Whether it counts what units are billed, not how many or how large they are."""
        return self.unit in ('clicks', 'seconds')

    def amount(self, pool_elements: int, objects: int = 0) -> float:
        """The limit in the units of `measure`.

        Args:
            pool_elements: All pixels or points of the pool.
            objects: Objects that have a box.
        """
        if self.unit == 'per_object':
            return self.per_round * objects
        return self.per_round / 100 * pool_elements if self.unit == 'percent' else self.per_round

    def measure(self, size: np.ndarray, clicks: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(N,) float64: how much of the budget each unit takes.

        Args:
            size: (N,) pixels or points of the units.
            clicks: (N,) clicks they are billed.
            seconds: (N,) seconds they are billed.
        """
        if self.unit in ('units', 'per_object'):
            return np.ones(len(size))
        if self.unit in ('pixels', 'points', 'percent'):
            return np.asarray(size, np.float64)
        return np.asarray(clicks if self.unit == 'clicks' else seconds, np.float64)
