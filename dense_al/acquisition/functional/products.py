"""Squared distances of many rows to a few of them at a time, over and over."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

# float32 features with more entries than this are multiplied in float32.
EXACT_ENTRIES = 1 << 24
# So many products pay for bringing the rows into the order in which oneDNN multiplies fastest.
WORTH_PACKING = 16
_BLOCK = 4096  # rows multiplied at once
_CENTRES = 256
_NORM_ROWS = 16  # small enough for a core's cache


class CentredRows:
    """Rows without their mean: distances keep more digits when it is not part of the norms.

    Args:
        features: (N, D) float; float32 with more than 2**24 entries is multiplied in float32,
            anything else in float64.
        products: How many times `squared` is going to be called, about.

    Attributes:
        dtype: Of the products.

    Raises:
        ValueError: Another shape, or NaN or infinity.
    """

    def __init__(self, features: ArrayLike, products: int = 0) -> None:
        self.features = np.asarray(features)
        if self.features.ndim != 2:
            raise ValueError(f'Expected `features` of shape (N, D), but got {self.features.shape}')
        count = len(self.features)
        single = self.features.dtype == np.float32 and self.features.size > EXACT_ENTRIES
        self.dtype = np.dtype(np.float32 if single else np.float64)
        with np.errstate(invalid='ignore'):
            mean = self.features.sum(axis=0, dtype=np.float64) / max(count, 1)
        if not np.isfinite(mean).all():
            raise ValueError('Expected finite `features`, but got NaN or infinity')
        self.mean = mean.astype(self.dtype)
        self.norms = np.empty(count)
        packed = single and products >= WORTH_PACKING
        parts = max(1, -(-count // _BLOCK))
        edges = np.linspace(0, count, parts + 1).astype(int).tolist()
        self.blocks = [
            (slice(a, b), self._block(slice(a, b), packed)) for a, b in zip(edges, edges[1:])
        ]

    def __len__(self) -> int:
        return len(self.features)

    def squared(self, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Squared distances of all rows to some.

        Args:
            rows: (T,) int, which ones.

        Yields:
            Consecutive rows, B of them, and (T, B) float64, none negative.
        """
        points = self._centred(rows)
        for part, block in self.blocks:
            out = block.times(points).astype(np.float64, copy=False)
            out *= -2
            out += self.norms[part]
            out += self.norms[rows, None]
            yield part, np.maximum(out, 0, out=out)

    def nearest(self, rows: np.ndarray) -> np.ndarray:
        """(N,) float64 squared distance of each row to the nearest of `rows`; infinite for none."""
        found = np.full(len(self), np.inf)
        for start in range(0, len(rows), _CENTRES):
            for part, squared in self.squared(rows[start : start + _CENTRES]):
                np.minimum(found[part], squared.min(axis=0), out=found[part])
        return found

    def _centred(self, rows: Any) -> np.ndarray:
        return np.subtract(self.features[rows], self.mean, dtype=self.dtype)

    def _block(self, part: slice, packed: bool) -> '_Plain | _Packed':
        centred = self._centred(part)
        for i in range(0, len(centred), _NORM_ROWS):
            few = centred[i : i + _NORM_ROWS].astype(np.float64, copy=False)
            start = part.start + i
            self.norms[start : start + len(few)] = np.einsum('ij,ij->i', few, few)
        return _packed(centred) if packed else _Plain(centred)


class _Plain:
    """Rows as they are."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def times(self, points: np.ndarray) -> np.ndarray:
        """(T, B) products with (T, D) points; this order of factors is the faster one."""
        return (self.rows @ points.T).T


class _Packed:
    """Rows in oneDNN's own order, in which products with a few points take less than half."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = torch.ops.mkldnn._reorder_linear_weight(torch.from_numpy(rows))

    def times(self, points: np.ndarray) -> np.ndarray:
        """(T, B) products with (T, D) points."""
        given = torch.from_numpy(points)
        return torch.ops.mkldnn._linear_pointwise(given, self.rows, None, 'none', [], '').numpy()


def _packed(rows: np.ndarray) -> _Plain | _Packed:
    """Packed rows, or plain ones where this build of torch has no oneDNN or other names for it."""
    try:
        packed = _Packed(rows)
        packed.times(rows[:1])
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return _Plain(rows)
    return packed
