"""From the pixels of a unit to the unit's score."""

import numpy as np

from dense_al.acquisition import functional as F
from dense_al.registry import AGGREGATES


@AGGREGATES.register
class Mean:
    """Mean over the unit's pixels."""

    def __call__(self, values: np.ndarray, units: np.ndarray, n_units: int) -> np.ndarray:
        """(R,) from (H, W) values and (H, W) unit ids."""
        return F.region_mean(values, units, n_units)


@AGGREGATES.register
class Max:
    """Highest value among the unit's pixels."""

    def __call__(self, values: np.ndarray, units: np.ndarray, n_units: int) -> np.ndarray:
        """(R,) from (H, W) values and (H, W) unit ids."""
        return F.region_max(values, units, n_units)


@AGGREGATES.register
class Sum:
    """Sum over the unit's pixels."""

    def __call__(self, values: np.ndarray, units: np.ndarray, n_units: int) -> np.ndarray:
        """(R,) from (H, W) values and (H, W) unit ids."""
        return F.region_sum(values, units, n_units)


@AGGREGATES.register
class TopKMean:
    """Mean of the k highest values of the unit (of all where it has fewer).

    Args:
        k: How many pixels, >= 1.
    """

    def __init__(self, k: int) -> None:
        if not isinstance(k, int) or k < 1:
            raise ValueError(f'Expected `k` to be an integer of at least 1, but got {k!r}')
        self.k = k

    def __call__(self, values: np.ndarray, units: np.ndarray, n_units: int) -> np.ndarray:
        """(R,) from (H, W) values and (H, W) unit ids."""
        return F.region_topk_mean(values, units, n_units, self.k)


SHORT = {'mean': 'Mean', 'max': 'Max', 'sum': 'Sum'}
