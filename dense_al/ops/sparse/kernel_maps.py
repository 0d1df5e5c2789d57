"""Which cell meets which under each weight of a kernel, from sorted cell numbers.

Cells are numbered along x, y, z with an empty border around each grid, so that a step of the
kernel is one and the same difference of numbers everywhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Pairs = tuple[Tensor, Tensor]  # (P,) int64 rows of the input and of the output
MOST_CELLS = 2**62


def submanifold_pairs(
    indices: Tensor, spatial_shape: Sequence[int], batch_size: int
) -> list[Pairs | None]:
    """Pairs of a 3 x 3 x 3 convolution whose outputs are the cells of its input.

    The output at p gathers the input at p + k - 1 under the weight k, as `conv3d` with a padding
    of 1 does.

    Args:
        indices: (M, 4) integers: grid, x, y, z; each cell once.
        spatial_shape: Extent of the grids in cells.
        batch_size: How many grids.

    Returns:
        Of each of the 27 weights, x slowest, its pairs; None for the one in the middle, where
        each cell meets itself. An input occurs at most once under a weight, and so does an output.

    Raises:
        ValueError: A grid of too many cells to number.

    >>> pairs = submanifold_pairs(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 2]]), [3, 3, 3], 1)
    >>> [[rows.tolist() for rows in pairs[k]] for k in (12, 14)], pairs[13]
    ([[[0], [1]], [[1], [0]]], None)
    """
    numbers, (step_x, step_y) = _numbers(indices, spatial_shape, batch_size)
    numbers, order = numbers.sort()
    # No cell has the number -1: one step past the last is nobody's neighbour.
    closed = torch.cat([numbers, numbers.new_full((3,), -1)])
    half: list[Pairs] = []
    for x, y in ((-1, -1), (-1, 0), (-1, 1), (0, -1)):
        wanted = numbers + (x * step_x + y * step_y - 1)
        place = torch.searchsorted(numbers, wanted)
        for z in range(3):  # three cells in a line lie side by side in the order
            hit = _of(closed, place) == wanted + z
            output = hit.nonzero().squeeze(1)
            half.append((_of(order, _of(place, output)), _of(order, output)))
            place = place + hit
    follows = (closed[1 : len(numbers) + 1] == numbers + 1).nonzero().squeeze(1)
    half.append((_of(order, follows), _of(order, follows + 1)))
    return [*half, None, *((output, input) for input, output in reversed(half))]


def halving_pairs(
    indices: Tensor, spatial_shape: Sequence[int], batch_size: int
) -> tuple[Tensor, list[Pairs]]:
    """Pairs of a convolution of kernel and stride 2, whose outputs are what gets any input.

    Args:
        indices: (M, 4) integers: grid, x, y, z; each cell once.
        spatial_shape: Extent of the grids in cells.
        batch_size: How many grids.

    Returns:
        (M', 4) coarse cells in the dtype of `indices`, sorted; and of each of the 8 weights, x
        slowest, its pairs of a fine and a coarse cell. A fine cell occurs once in all of them.

    Raises:
        ValueError: A grid of too many cells to number.

    >>> coarse, pairs = halving_pairs(torch.tensor([[0, 1, 1, 1], [0, 2, 1, 0]]), [4, 4, 4], 1)
    >>> coarse.tolist(), [i.tolist() for i, _ in pairs]
    ([[0, 0, 0, 0], [0, 1, 0, 0]], [[], [], [1], [], [], [], [], [0]])
    """
    halves = torch.cat([indices[:, :1], indices[:, 1:] >> 1], dim=1)
    numbers, _ = _numbers(halves, spatial_shape, batch_size)
    numbers, order = numbers.sort()
    first = torch.ones_like(numbers, dtype=torch.bool)
    first[1:] = numbers[1:] != numbers[:-1]
    parent = torch.empty_like(order)
    parent[order] = first.cumsum(0) - 1
    odd = indices[:, 1:] & 1
    weight = odd[:, 0] * 4 + odd[:, 1] * 2 + odd[:, 2]
    fine = [(weight == k).nonzero().squeeze(1) for k in range(8)]
    return halves[order[first]].contiguous(), [(rows, _of(parent, rows)) for rows in fine]


def _numbers(
    indices: Tensor, spatial_shape: Sequence[int], batch_size: int
) -> tuple[Tensor, tuple[int, int]]:
    """(M,) int64 cell numbers and what a step along x and along y adds to them."""
    x, y, z = (extent + 2 for extent in spatial_shape)
    if batch_size * x * y * z >= MOST_CELLS:
        raise ValueError(
            f'Expected grids of less than {MOST_CELLS} cells together, but got {batch_size} of '
            f'{" x ".join(map(str, spatial_shape))}'
        )
    grid, *where = indices.long().unbind(1)
    numbers = ((grid * x + where[0] + 1) * y + where[1] + 1) * z + where[2] + 1
    return numbers, (y * z, z)


def _of(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]``, several times as fast on a CPU."""
    return values.index_select(0, index)
