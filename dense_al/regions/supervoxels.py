"""Regions of a scan that follow its surfaces."""

from importlib.metadata import version
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from dense_al.groups import region_mean
from dense_al.regions.base import check_integer, check_number, relabelled
from dense_al.regions.scan_base import ScanRegions, check_points, ranked_cells

_NEIGHBOURS_OF_NORMALS = 12
_NEIGHBOURS_OF_PATHS = 8


class Supervoxels(ScanRegions):
    """Supervoxels that grow along surfaces, in the spirit of VCCS (Papon et al., CVPR 2013).

    The scan is thinned to voxels, each with the normal of the surface around it. A seed lies in
    every occupied cell of a coarse grid, and each voxel belongs to the seed that it is closest to
    along a path from voxel to neighbouring voxel; a step costs its length and how far the normal
    turns. Seeds then move to the middles of their regions and grow once more. Regions of few
    points join the region next to them, so every point is in one.

    Args:
        voxel: Side of a voxel in metres.
        spacing: Side of the cells of the seeds in metres.
        spatial_weight: Cost of a path of one `spacing`.
        normal_weight: Cost of a turn by a right angle.
        min_points: Regions of fewer points join others.

    Raises:
        ValueError: An argument out of range, or points too far from each other.
    """

    def __init__(
        self,
        *,
        voxel: float = 0.5,
        spacing: float = 4.0,
        spatial_weight: float = 0.4,
        normal_weight: float = 1.0,
        min_points: int = 100,
    ) -> None:
        self.voxel = check_number('voxel', voxel, positive=True)
        self.spacing = check_number('spacing', spacing, positive=True)
        if self.spacing < self.voxel:
            raise ValueError(
                f'Expected `spacing` to be at least `voxel`, but got {spacing!r} and {voxel!r}'
            )
        self.spatial_weight = check_number('spatial_weight', spatial_weight, positive=True)
        self.normal_weight = check_number('normal_weight', normal_weight, positive=False)
        self.min_points = check_integer('min_points', min_points)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ('voxel', 'spacing', 'spatial_weight', 'normal_weight', 'min_points')
        return {name: getattr(self, name) for name in names}

    @property
    def versions(self) -> dict[str, str]:
        """SciPy, which finds neighbours and paths."""
        return {'scipy': version('scipy')}

    def map(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(N,) int32 supervoxel of each point; `pose` does not matter."""
        points = check_points(points).astype(np.float64)
        voxels, rows = ranked_cells(np.floor(points / self.voxel))
        centres = region_mean(points, rows, len(voxels))
        graph = self._graph(centres)
        _, cells = ranked_cells(np.floor(centres / self.spacing))
        regions = _grown(graph, centres, _middles(centres, cells))
        regions = _grown(graph, centres, _middles(centres, regions))
        return relabelled(_merged(centres, regions, np.bincount(rows), self.min_points))[rows]

    def _graph(self, centres: np.ndarray) -> csr_matrix:
        """(V, V) costs of the steps between neighbouring voxels."""
        n = len(centres)
        known = min(_NEIGHBOURS_OF_NORMALS + 1, n)
        distance, near = cKDTree(centres).query(centres, np.arange(1, known + 1))
        normals = _normals(centres[near])
        used = slice(1, _NEIGHBOURS_OF_PATHS + 1)  # the nearest one is the voxel itself
        start = np.repeat(np.arange(n), near[:, used].shape[1])
        end = near[:, used].ravel()
        turn = 1 - np.abs(np.einsum('ij,ij->i', normals[start], normals[end]))
        length = distance[:, used].ravel() / self.spacing
        cost = self.spatial_weight * length + self.normal_weight * np.maximum(turn, 0)
        return csr_matrix((cost, (start, end)), (n, n))


def _normals(near: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, signs arbitrary, of the (V, k, 3) points around each voxel."""
    inside = near - near.mean(axis=1, keepdims=True)
    return np.linalg.eigh(inside.transpose(0, 2, 1) @ inside)[1][:, :, 0]


def _middles(centres: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G,) the voxel of each group that is closest to the group's mean."""
    means = region_mean(centres, groups, groups.max() + 1)
    squared = ((centres - means[groups]) ** 2).sum(axis=1)
    return _first_of_each(groups, squared)


def _first_of_each(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(G,) the row with the lowest value of each group that is present, in their order."""
    order = np.lexsort((values, groups))
    return order[np.unique(groups[order], return_index=True)[1]]


def _grown(graph: csr_matrix, centres: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(V,) region of each voxel, 0 to S-1: the seed with the cheapest path, else the nearest."""
    cost, _, source = dijkstra(
        graph, directed=False, indices=seeds, min_only=True, return_predecessors=True
    )
    reached = np.isfinite(cost)
    regions = np.empty(len(centres), np.int64)
    regions[reached] = np.searchsorted(np.sort(seeds), source[reached])
    if not reached.all():
        nearest = cKDTree(centres[reached]).query(centres[~reached])[1]
        regions[~reached] = regions[reached][nearest]
    return regions


def _merged(
    centres: np.ndarray, regions: np.ndarray, counts: np.ndarray, min_points: int
) -> np.ndarray:
    """Small regions join the large one that has a voxel closest to one of theirs.

    Args:
        centres: (V, 3) voxels.
        regions: (V,) int64, 0 to R-1.
        counts: (V,) points in each voxel.
        min_points: Points of a region that stays; if none has so many, the largest stays.

    Returns:
        (V,) int64 ids of the regions that stay.
    """
    sizes = np.bincount(regions, counts)
    stays = sizes >= min(min_points, sizes.max())
    small, large = np.flatnonzero(~stays[regions]), np.flatnonzero(stays[regions])
    if not len(small):
        return regions
    distance, nearest = cKDTree(centres[large]).query(centres[small])
    first = _first_of_each(regions[small], distance)
    target = np.arange(len(sizes))
    target[regions[small][first]] = regions[large[nearest[first]]]
    return target[regions]
