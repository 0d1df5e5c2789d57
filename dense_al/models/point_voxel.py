"""A sparse U-Net with a branch that keeps the finest resolution throughout.

Tang et al., Searching Efficient 3D Architectures with Sparse Point-Voxel Convolution, ECCV 2020
(SPVCNN). The points of the branch are the voxels of the input, as in its released networks.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from dense_al.models.sparse_unet import PUBLISHED, RowNorm, SparseUNet
from dense_al.ops.sparse import SparseTensor


@MODELS.register_module()
class SPVCNN(SparseUNet):
    """`SparseUNet` that goes through the branch at its bottom, half way up and at its end.

    There the voxels of the input read the coarse ones around them, add what they had themselves
    through a layer of their own, and hand their means back.

    Args:
        in_channels: Features of a voxel.
        channels: See `SparseUNet`.
        backend: See `SparseUNet`.
        blocks: See `SparseUNet`.
        dropout_ratio: Of what the branch hands back, in training.
        init_cfg: Of mmengine.

    Raises:
        ValueError: Fewer than five widths, so that there is no half way.

    References:
        Tang et al., ECCV 2020; Hu et al., LiDAL, ECCV 2022, with a dropout of 0.3. Both weigh the
        coarse voxels by the distance of their lower corners; here it is that of their centres.
    """

    def __init__(
        self,
        in_channels: int = 4,
        channels: Sequence[int] = PUBLISHED,
        backend: str = 'auto',
        blocks: int = 2,
        dropout_ratio: float = 0.3,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(in_channels, channels, backend, blocks, init_cfg)
        if self.n_levels < 2:
            raise ValueError(f'Expected `channels` of at least five, but got {tuple(channels)}')
        # How many steps up have been made where the branch is entered again.
        self._half, n = self.n_levels - self.n_levels // 2, self.n_levels
        widths = channels[0], channels[n], channels[n + self._half], channels[-1]
        self.point_layers = nn.ModuleList(
            nn.Sequential(nn.Linear(given, width), RowNorm(width), nn.ReLU(inplace=True))
            for given, width in zip(widths, widths[1:])
        )
        self.dropout = nn.Dropout(dropout_ratio)

    def forward(self, features: Tensor, indices: Tensor, batch_size: int) -> Tensor:
        """Features of voxels, see `SparseUNet.forward`."""
        passed = [self.stem(self._tensor(features, indices, batch_size))]
        points = passed[0].features
        for down in self.down:
            passed.append(down(passed[-1]))
        x = passed.pop()
        for step, up in enumerate(self.up):
            if step in (0, self._half):
                halvings = self.n_levels - step
                points = read(x, indices, halvings) + self.point_layers[step > 0](points)
                handed = hand_back(points, x, indices, halvings)
                x = x.replace_feature(self.dropout(handed))
            x = up(x, passed.pop())
        return x.features + self.point_layers[2](points)


def read(coarse: SparseTensor, indices: Tensor, halvings: int) -> Tensor:
    """Features of coarse voxels at the centres of fine ones, linear between their centres.

    Args:
        coarse: (K, C) voxels, among them all that hold a fine one.
        indices: (M, 4) int32 fine voxels: grid, x, y, z.
        halvings: How often the edge of a fine voxel is doubled to that of a coarse one.

    Returns:
        (M, C). Coarse voxels that are not there do not count; the weights of the rest sum to 1.
    """
    where = (indices[:, 1:].to(torch.float32) + 0.5) / 2**halvings - 0.5
    lower = where.floor()
    share = where - lower
    numbers, order = _numbers(coarse.indices, coarse.spatial_shape).sort()
    total = coarse.features.new_zeros(len(indices), coarse.features.shape[1])
    weights = total.new_zeros(len(indices), 1)
    for corner in product((0, 1), repeat=3):
        upper = torch.tensor(corner, device=indices.device)
        cells = torch.cat([indices[:, :1].long(), lower.long() + upper], dim=1)
        wanted = _numbers(cells, coarse.spatial_shape)
        place = torch.searchsorted(numbers, wanted).clamp(max=len(numbers) - 1)
        weight = torch.where(upper.bool(), share, 1 - share).prod(dim=1)
        weight = (weight * (numbers[place] == wanted)).to(total.dtype)[:, None]
        total = total + weight * coarse.features.index_select(0, order[place])
        weights += weight
    return total / weights


def hand_back(points: Tensor, coarse: SparseTensor, indices: Tensor, halvings: int) -> Tensor:
    """Mean of the fine voxels in each coarse one.

    Args:
        points: (M, C) float.
        coarse: (K, ...) voxels that hold a fine one each.
        indices: (M, 4) int32 fine voxels.
        halvings: How often the edge of a fine voxel is doubled to that of a coarse one.

    Returns:
        (K, C).
    """
    holders = torch.cat([indices[:, :1], indices[:, 1:] >> halvings], dim=1)
    numbers, order = _numbers(coarse.indices, coarse.spatial_shape).sort()
    rows = order[torch.searchsorted(numbers, _numbers(holders, coarse.spatial_shape))]
    counts = torch.bincount(rows, minlength=len(order)).to(points.dtype)
    sums = points.new_zeros(len(order), points.shape[1]).index_add(0, rows, points)
    return sums / counts[:, None]


def _numbers(indices: Tensor, spatial_shape: Sequence[int]) -> Tensor:
    """(M,) int64 numbers of voxels, also of those one step outside of the grid."""
    x, y, z = (extent + 2 for extent in spatial_shape)
    grid, *where = indices.long().unbind(1)
    return ((grid * x + where[0] + 1) * y + where[1] + 1) * z + where[2] + 1
