"""CDAL: how differently two images confuse the classes, and a core-set under that distance.

Agarwal et al., Contextual Diversity for Active Learning, 2020.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dense_al.acquisition.functional.k_center import checked_mask
from dense_al.acquisition.functional.uncertainty import check_probabilities

_ROWS = 256  # images handled at a time
_FLOOR = 1e-12


def cdal_select(
    mixtures: ArrayLike,
    labelled: ArrayLike,
    n: int,
    *,
    present: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    paper_compat: bool = False,
) -> NDArray[np.int64]:
    """Pick images one by one, each the farthest from those labelled or picked.

    The distance is the symmetric Kullback-Leibler divergence `(KL(a | b) + KL(b | a)) / 2`, in
    nats, mean over the mixtures two images have in common; with none they are infinitely far
    apart. A probability below 1e-12 counts as that.

    Args:
        mixtures: (N, G, C) float in [0, 1]: N images, G mixtures of C classes each.
        labelled: (N,) bool, images that are labelled and never picked.
        n: Images to pick, in [0, number of images not labelled].
        present: (N, G) bool, which of them the image has; by default those that are not all 0.
        rng: Draws the first pick where nothing is labelled (without it the lowest row) and breaks
            ties; by default the lowest row wins.
        paper_compat: Images with nothing in common look alike, and the first pick is drawn by
            `rng` even where something is labelled, both as released.

    Returns:
        (n,) int64 rows in the order of picking.

    Raises:
        ValueError: Wrong shapes, entries that are not probabilities, `n` out of range, or
            `paper_compat` without `rng`.

    References:
        Agarwal et al., Contextual Diversity for Active Learning, 2020.

    >>> mixtures = [[[0.5, 0.5]], [[0.6, 0.4]], [[0.9, 0.1]]]
    >>> cdal_select(mixtures, [True, False, False], 2).tolist()
    [2, 1]
    """
    pairs = _Pairs(mixtures, present, 0.0 if paper_compat else np.inf)
    mask = checked_mask(labelled, len(pairs), n)
    if paper_compat and rng is None:
        raise ValueError('Expected `rng` with `paper_compat`, but got none')
    rank = np.arange(len(pairs)) if rng is None else rng.permutation(len(pairs))
    nearest = np.full(len(pairs), np.inf)
    known = np.flatnonzero(mask)
    for i in range(0, len(known), _ROWS):
        np.minimum(nearest, pairs.distance(known[i : i + _ROWS]).min(axis=0), out=nearest)
    nearest[mask] = -1
    picks = np.empty(n, np.int64)
    for k in range(n):
        among = nearest if k or not paper_compat else np.where(mask, -1, 0)
        tied = np.flatnonzero(among == among.max())
        picks[k] = tied[rank[tied].argmin()]
        np.minimum(nearest, pairs.distance(picks[k : k + 1])[0], out=nearest)
        nearest[picks[k]] = -1
    return picks


class _Pairs:
    """Distances as products of two factors.

    Half of `sum a ln a + sum b ln b - sum a ln b - sum b ln a`, summed over the mixtures both
    have, is a product of what belongs to `a` and what belongs to `b`.
    """

    def __init__(self, mixtures: ArrayLike, present: ArrayLike | None, apart: float) -> None:
        values, self.present = _checked(mixtures, present)
        self.apart = apart
        flat = (len(values), values.shape[1] * values.shape[2])
        logs = np.log(values)
        # Absent mixtures must add nothing.
        values *= self.present[..., None]
        logs *= self.present[..., None]
        own = np.einsum('ngc,ngc->ng', values, logs)
        here = self.present.astype(np.float64)
        self.left = np.concatenate([own, here, values.reshape(flat)], axis=1)
        self.right = np.concatenate([here, own, -logs.reshape(flat)], axis=1)
        self.here = here

    def __len__(self) -> int:
        return len(self.present)

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
        out[common == 0] = self.apart
        out[np.arange(len(rows)), rows] = 0
        return out


def _checked(mixtures: ArrayLike, present: ArrayLike | None) -> tuple[NDArray, NDArray]:
    """The mixtures with a floor, as a copy, and which of them are there."""
    values = np.asarray(mixtures, np.float64)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f'Expected `mixtures` of shape (N, G, C), but got {values.shape}')
    check_probabilities(values)
    mask = np.asarray(values.any(axis=2) if present is None else present)
    if mask.shape != values.shape[:2] or mask.dtype != bool:
        raise ValueError(
            f'Expected `present` to be {values.shape[:2]} bool, but got {mask.shape} {mask.dtype}'
        )
    return np.maximum(values, _FLOOR), mask
