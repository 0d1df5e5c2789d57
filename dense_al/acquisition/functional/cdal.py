"""CDAL: how differently two images confuse the classes, and a core-set under that distance.

Agarwal et al., Contextual Diversity for Active Learning, 2020.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask, farthest_first
from dense_al.acquisition.functional.uncertainty import check_probabilities

_ROWS = 256  # images handled at a time
_FLOOR = 1e-12


def cdal_select(
    mixtures: ArrayLike,
    labelled: ArrayLike,
    n: int,
    *,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Pick images one by one, each the farthest from those labelled or picked.

    The distance is the symmetric Kullback-Leibler divergence `(KL(a | b) + KL(b | a)) / 2`, in
    nats, mean over the mixtures two images have in common; with none they are infinitely far
    apart (as released they look alike). A probability below 1e-12 counts as that.

    Args:
        mixtures: (N, G, C) float in [0, 1]: N images, G mixtures of C classes each, zeros for one
            that the image does not have.
        labelled: (N,) bool, images that are labelled and never picked.
        n: Images to pick, in [0, number of images not labelled].
        rng: Draws the first pick where nothing is labelled (without it the lowest row) and breaks
            ties; by default the lowest row wins.

    Returns:
        (n,) int64 rows in the order of picking.

    Raises:
        ValueError: Wrong shapes, entries that are not probabilities, or `n` out of range.

    References:
        Agarwal et al., Contextual Diversity for Active Learning, 2020.

    >>> mixtures = [[[0.5, 0.5]], [[0.6, 0.4]], [[0.9, 0.1]]]
    >>> cdal_select(mixtures, [True, False, False], 2).tolist()
    [2, 1]
    """
    pairs = _Pairs(mixtures)
    mask = checked_mask(labelled, len(pairs), n)
    rank = np.arange(len(pairs)) if rng is None else rng.permutation(len(pairs))
    nearest = np.full(len(pairs), np.inf)
    known = np.flatnonzero(mask)
    for i in range(0, len(known), _ROWS):
        np.minimum(nearest, pairs.distance(known[i : i + _ROWS]).min(axis=0), out=nearest)
    return farthest_first(nearest, mask, n, rank, lambda row: pairs.distance(np.array([row]))[0])


class _Pairs:
    """Distances as products of two factors.

    Half of `sum a ln a + sum b ln b - sum a ln b - sum b ln a`, summed over the mixtures both
    have, is a product of what belongs to `a` and what belongs to `b`.
    """

    def __init__(self, mixtures: ArrayLike) -> None:
        values: NDArray = np.asarray(mixtures, np.float64)
        if values.ndim != 3 or 0 in values.shape[1:]:
            raise ValueError(f'Expected `mixtures` of shape (N, G, C), but got {values.shape}')
        check_probabilities(values)
        self.here: NDArray[np.float64] = np.any(values, axis=2).astype(np.float64)
        values = np.maximum(values, _FLOOR)
        flat = (len(values), values.shape[1] * values.shape[2])
        logs = np.log(values)
        # Absent mixtures must add nothing.
        values *= self.here[..., None]
        logs *= self.here[..., None]
        own = np.einsum('ngc,ngc->ng', values, logs)
        self.left = np.concatenate([own, self.here, values.reshape(flat)], axis=1)
        self.right = np.concatenate([self.here, own, -logs.reshape(flat)], axis=1)

    def __len__(self) -> int:
        return len(self.here)

    def distance(self, rows: NDArray) -> NDArray[np.float64]:
        """(T, N) from some rows to all."""
        common = self.here[rows] @ self.here.T
        # The products with the values of one side and with those of the other.
        groups = self.here.shape[1]
        out = self.left[rows] @ self.right.T
        out += self.right[rows, 2 * groups :] @ self.left[:, 2 * groups :].T
        out *= 0.5
        out /= np.maximum(common, 1)
        np.maximum(out, 0, out=out)
        out[common == 0] = np.inf
        out[np.arange(len(rows)), rows] = 0
        return out
