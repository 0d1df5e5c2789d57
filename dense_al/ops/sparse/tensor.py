"""What a sparse convolution takes and gives, whoever computes it."""

from typing import Any, Protocol

from torch import Tensor


class SparseTensor(Protocol):
    """Features of the occupied cells of a batch of grids; each cell occurs once.

    Attributes:
        features: (M, C) float.
        indices: (M, 4) int32, contiguous: number of the grid in the batch, then x, y, z, all >= 0.
        spatial_shape: Extent of the grids in cells along x, y, z.
        batch_size: How many grids.
    """

    @property
    def features(self) -> Tensor: ...

    indices: Tensor
    spatial_shape: list[int]
    batch_size: int

    def replace_feature(self, feature: Tensor) -> Any:
        """The same cells, and what is known of their neighbours, with other features (M, D)."""
        ...


def padded_shape(indices: Tensor, multiple: int = 16) -> list[int]:
    """Extent of a grid that can be halved several times without losing cells at its border.

    Args:
        indices: (M, 4) integers: grid, x, y, z.
        multiple: What each extent is a multiple of: two to the number of halvings, or more.

    Returns:
        Cells along x, y, z.

    Raises:
        ValueError: Other shapes, no cell, or a negative index.

    >>> import torch
    >>> padded_shape(torch.tensor([[0, 3, 15, 16], [1, 0, 0, 0]]))
    [16, 16, 32]
    """
    if indices.ndim != 2 or indices.shape[1] != 4 or not len(indices):
        raise ValueError(f'Expected `indices` (M, 4) with M > 0, but got {tuple(indices.shape)}')
    least, most = indices.aminmax(dim=0)
    if int(least.min()) < 0:
        raise ValueError(f'Expected `indices` of at least 0, but got {least.tolist()}')
    return [(int(last) // multiple + 1) * multiple for last in most[1:].tolist()]
