"""Disagreement between frames of a LiDAR sequence, on the device the predictions lie on.

Hu et al., LiDAL: Inter-frame Uncertainty Based Active Learning for 3D LiDAR, ECCV 2022.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_BITS = 21  # of each coordinate of a cell: 100 km to either side with cells of 0.1 m
_COLUMNS = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]


class FrameCells(NamedTuple):
    """The points of a frame by the cell of a grid they lie in.

    Attributes:
        xyz: (P, 3) float64, metres, in the order of the cells.
        rows: (P,) int64, the row of each of them in the frame.
        keys: (P,) int64, their cells, ascending.
        edge: Edge of a cell in metres.
    """

    xyz: Tensor
    rows: Tensor
    keys: Tensor
    edge: float


def frame_cells(xyz: Tensor, max_distance: float) -> FrameCells:
    """Sorts the points of a frame into cells, for all searches up to a distance.

    Args:
        xyz: (P, 3) float, metres.
        max_distance: Metres, > 0; the edge of a cell.

    Raises:
        ValueError: Coordinates that are not finite, or too far from the origin.
    """
    if not 0 < max_distance < float('inf'):
        raise ValueError(f'Expected `max_distance` > 0, but got {max_distance}')
    xyz = xyz.double()
    cells = torch.floor(xyz / max_distance)
    if not bool((cells.abs() < (1 << (_BITS - 1)) - 1).all()):
        far = (1 << (_BITS - 1)) * max_distance
        raise ValueError(f'Expected coordinates within {far:.0f} m, but got others or NaN')
    keys, rows = torch.sort(_keys(cells.long()), stable=True)
    return FrameCells(xyz[rows], rows, keys, max_distance)


def nearest_in_cells(xyz: Tensor, cells: FrameCells) -> Tensor:
    """The nearest point of a frame for each query point, exactly.

    Args:
        xyz: (Q, 3) float, metres, on the device of the cells.
        cells: The frame.

    Returns:
        (Q,) int64 row in the frame, the lowest of equally near ones; -1 if the nearest is farther
        than `cells.edge`.

    >>> there = frame_cells(torch.tensor([[0.0, 0, 0], [0.08, 0, 0]]), 0.1)
    >>> nearest_in_cells(torch.tensor([[0.05, 0.0, 0], [1.0, 0, 0]]), there).tolist()
    [1, -1]
    """
    xyz = xyz.double()
    nearest = torch.full((len(xyz),), -1, dtype=torch.int64, device=xyz.device)
    if not len(cells.rows) or not len(xyz):
        return nearest
    home = torch.floor(xyz / cells.edge).long()
    best = torch.full((len(xyz),), cells.edge, dtype=torch.float64, device=xyz.device)
    last = len(cells.rows)
    for x, y in _COLUMNS:  # the three cells above each other lie one after another
        column = home + torch.tensor([x, y, -1], device=xyz.device)
        first = torch.searchsorted(cells.keys, _keys(column))
        column[:, 2] += 2
        count = torch.searchsorted(cells.keys, _keys(column), right=True) - first
        query = torch.repeat_interleave(count)
        if not len(query):
            continue
        start = torch.cumsum(count, 0) - count
        there = torch.arange(len(query), device=xyz.device) - start[query] + first[query]
        distance = (xyz[query] - cells.xyz[there]).norm(dim=1)
        lowest = best.scatter_reduce(0, query, distance, 'amin')
        won = distance <= lowest[query]
        row = torch.full_like(nearest, last)
        row = row.scatter_reduce(0, query[won], cells.rows[there[won]], 'amin')
        kept = torch.where((best == lowest) & (nearest >= 0), nearest, last)
        row = torch.minimum(row, kept)
        nearest = torch.where(row < last, row, nearest)
        best = lowest
    return nearest


def inter_frame_scores_on_device(
    query_probs: Tensor,
    query_xyz: Tensor,
    neighbour_probs: Sequence[Tensor],
    neighbour_cells: Sequence[FrameCells],
    *,
    eps: float = 1e-5,
    measure: str = 'kl',
) -> tuple[Tensor, Tensor, Tensor]:
    """What `inter_frame_scores` computes, of tensors and where they lie.

    Args:
        query_probs: (P, C) float, class probabilities.
        query_xyz: (P, 3) float, metres, in a frame of reference shared with the neighbours.
        neighbour_probs: K tensors (P_k, C).
        neighbour_cells: `frame_cells` of each neighbour, all of one `max_distance`.
        eps: Added to both sides of the divergence, > 0.
        measure: `kl` or `js`.

    Returns:
        divergence (P,) float64 in nats, >= 0, 0 without a match; entropy (P,) float64 in nats, in
        [0, ln C]; matches (P,) int64 in [0, K].

    References: Hu et al., LiDAL, ECCV 2022.
    """
    own = query_probs.double()
    log_own, own_entropy = (own + eps).log(), _entropy(own)
    total, cross = own.clone(), own.new_zeros(len(own))
    matches = torch.zeros(len(own), dtype=torch.int64, device=own.device)
    for probs, cells in zip(neighbour_probs, neighbour_cells, strict=True):
        if not len(probs):
            continue
        nearest = nearest_in_cells(query_xyz, cells)
        hit = nearest >= 0
        there = probs.double()[nearest.clamp(min=0)] * hit[:, None]
        total += there
        matches += hit
        if measure == 'js':
            mixed = _entropy((own + there) / 2) - (own_entropy + _entropy(there)) / 2
            cross += mixed * hit
        else:
            ratio = (own + eps) * (log_own - (there + eps).log())
            cross += (ratio.sum(1) + there.sum(1) - own.sum(1)) * hit
    divergence = (cross / matches.clamp(min=1)).clamp(min=0)
    mass = total.sum(1, keepdim=True)
    entropy = _entropy(total / torch.where(mass > 0, mass, 1))
    return divergence, entropy, matches


def _entropy(probs: Tensor) -> Tensor:
    return torch.special.entr(probs).sum(1)


def _keys(cells: Tensor) -> Tensor:
    """(P,) int64 numbers of (P, 3) cells, those above each other one after another."""
    shifted = cells + (1 << (_BITS - 1))
    return (shifted[:, 0] << (2 * _BITS)) | (shifted[:, 1] << _BITS) | shifted[:, 2]
