"""Residual U-Net over the occupied voxels of scans.

Choy et al., 4D Spatio-Temporal ConvNets: Minkowski Convolutional Neural Networks, CVPR 2019
(MinkUNet), in the widths of Tang et al., Searching Efficient 3D Architectures with Sparse
Point-Voxel Convolution, ECCV 2020 (SPVNAS).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from dense_al.ops import sparse
from dense_al.ops.sparse import Backend, SparseTensor

PUBLISHED = (32, 32, 64, 128, 256, 256, 128, 96, 96)
LEAST_MULTIPLE = 16


@MODELS.register_module()
class SparseUNet(BaseModule):
    """U-Net of sparse convolutions: two in the stem, then residual blocks per level and way.

    Args:
        in_channels: Features of a voxel.
        channels: Widths of the stem, of each level going down, then of each going up; an odd
            number of them, (n - 1) / 2 halvings.
        backend: Who computes the convolutions, see `dense_al.ops.sparse.load`. The weights are
            the same for all.
        blocks: Residual blocks per level and way, > 0; 2 as published.
        init_cfg: Of mmengine, such as the weights of a checkpoint.

    Attributes:
        out_channels: Width of the result.
        n_levels: Halvings.

    Raises:
        ValueError: An even number of widths, fewer than three, one below 1, or no block.
    """

    def __init__(
        self,
        in_channels: int = 4,
        channels: Sequence[int] = PUBLISHED,
        backend: str = 'auto',
        blocks: int = 2,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) < 3 or len(channels) % 2 == 0 or min(in_channels, *channels) < 1:
            raise ValueError(
                'Expected `channels` to be an odd number of widths above 0, at least three: stem, '
                f'levels down, levels up; but got {tuple(channels)} behind {in_channels} channels'
            )
        if blocks < 1:
            raise ValueError(f'Expected `blocks` above 0, but got {blocks}')
        self.in_channels, self.out_channels = in_channels, channels[-1]
        self.n_levels = len(channels) // 2
        self._backend = make = sparse.load(backend)
        stem, down, up = channels[0], channels[1 : self.n_levels + 1], channels[self.n_levels + 1 :]
        self.stem = nn.Sequential(
            ConvNorm(make.submanifold(in_channels, stem, same(0)), stem),
            ConvNorm(make.submanifold(stem, stem, same(0)), stem),
        )
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        widths = [stem]
        for level, width in enumerate(down, 1):
            self.down.append(Down(make, widths[-1], width, level, blocks))
            widths.append(width)
        width = widths.pop()
        for level, wider in zip(reversed(range(self.n_levels)), up):
            self.up.append(Up(make, width, widths.pop(), wider, level, blocks))
            width = wider

    def forward(self, features: Tensor, indices: Tensor, batch_size: int) -> Tensor:
        """Features of voxels from those of their surroundings.

        Args:
            features: (M, in_channels) float.
            indices: (M, 4) int32: number of the scan in the batch, x, y, z, all >= 0; each once.
            batch_size: How many scans.

        Returns:
            (M, out_channels) float, >= 0, rows as in `features`.

        Raises:
            ValueError: Shapes or types that do not fit, no voxel, or a negative index.
        """
        passed = [self.stem(self._tensor(features, indices, batch_size))]
        for down in self.down:
            passed.append(down(passed[-1]))
        x = passed.pop()
        for up in self.up:
            x = up(x, passed.pop())
        return x.features

    def _tensor(self, features: Tensor, indices: Tensor, batch_size: int) -> SparseTensor:
        if features.shape != (len(indices), self.in_channels) or indices.dtype != torch.int32:
            raise ValueError(
                f'Expected `features` (M, {self.in_channels}) and int32 `indices` (M, 4), but got '
                f'{tuple(features.shape)} and {indices.dtype} {tuple(indices.shape)}'
            )
        shape = sparse.padded_shape(indices, max(LEAST_MULTIPLE, 2**self.n_levels))
        return self._backend.tensor(features, indices.contiguous(), shape, batch_size)


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation of rows that takes a single row for what it knows from others.

    The coarsest level of a small scan may be one cell, which has no variance.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(M, C) in and out."""
        if self.training and len(input) < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


class ConvNorm(nn.Module):
    """A sparse convolution, its normalisation and, unless told otherwise, a ReLU."""

    def __init__(self, conv: nn.Module, width: int, relu: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = conv, RowNorm(width), relu

    def forward(self, x: SparseTensor) -> SparseTensor:
        """A sparse tensor in and out."""
        x = self.conv(x)
        features = self.norm(x.features)
        return x.replace_feature(features.relu_() if self.relu else features)


class Residual(nn.Module):
    """Two convolutions around which the input is added, through a matrix where widths differ."""

    def __init__(self, make: Backend, given: int, width: int, level: int) -> None:
        super().__init__()
        self.first = ConvNorm(make.submanifold(given, width, same(level)), width)
        self.second = ConvNorm(make.submanifold(width, width, same(level)), width, relu=False)
        self.around: nn.Module = nn.Identity()
        if given != width:
            self.around = nn.Sequential(nn.Linear(given, width, bias=False), RowNorm(width))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """A sparse tensor in and out."""
        out = self.second(self.first(x))
        return out.replace_feature((out.features + self.around(x.features)).relu_())


class Down(nn.Module):
    """To the next coarser level, where residual blocks follow."""

    def __init__(self, make: Backend, given: int, width: int, level: int, blocks: int) -> None:
        super().__init__()
        self.step = ConvNorm(make.down(given, given, between(level - 1)), given)
        self.blocks = residuals(make, given, width, level, blocks)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """A sparse tensor in, a coarser one out."""
        return self.blocks(self.step(x))


class Up(nn.Module):
    """Back to the next finer level, joined by what was there, and residual blocks."""

    def __init__(
        self, make: Backend, given: int, passed: int, width: int, level: int, blocks: int
    ) -> None:
        super().__init__()
        self.step = ConvNorm(make.up(given, width, between(level)), width)
        self.blocks = residuals(make, width + passed, width, level, blocks)

    def forward(self, x: SparseTensor, passed: SparseTensor) -> SparseTensor:
        """A sparse tensor and the finer one of the way down in, the finer one out."""
        x = self.step(x)
        return self.blocks(x.replace_feature(torch.cat([x.features, passed.features], dim=1)))


def residuals(make: Backend, given: int, width: int, level: int, blocks: int) -> nn.Sequential:
    """Residual blocks one behind the other, the first of which changes the width."""
    return nn.Sequential(
        Residual(make, given, width, level),
        *(Residual(make, width, width, level) for _ in range(blocks - 1)),
    )


def same(level: int) -> str:
    """Key of the convolutions within a level, 0 the finest."""
    return f'same{level}'


def between(level: int) -> str:
    """Key of the step between a level and the next coarser one."""
    return f'between{level}'
