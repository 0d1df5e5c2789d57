"""Sparse convolutions in plain torch: gather rows, multiply, add where they belong."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from dense_al.ops.sparse.kernel_maps import Pairs, halving_pairs, submanifold_pairs


@dataclass(frozen=True)
class GatherTensor:
    """A `SparseTensor` that remembers the pairs of its convolutions.

    Args:
        features: (M, C) float.
        indices: (M, 4) int32 grid, x, y, z, all >= 0; each cell once.
        spatial_shape: Extent of the grids in cells; even wherever it is halved.
        batch_size: How many grids.
        maps: Key -> what a convolution found out; shared by all that is made from this tensor.
    """

    features: Tensor
    indices: Tensor
    spatial_shape: list[int]
    batch_size: int
    maps: dict[str, Any] = field(default_factory=dict)

    def replace_feature(self, feature: Tensor) -> 'GatherTensor':
        """The same cells with other features."""
        return replace(self, features=feature)


@dataclass(frozen=True)
class Halving:
    """How the cells of a level became those of the next: what is needed to go back."""

    fine: Tensor
    fine_shape: list[int]
    coarse: Tensor
    coarse_shape: list[int]
    pairs: list[Pairs]


class _Convolution(nn.Module):
    """A weight (out, k, k, k, in), of the layout that spconv calls KRSC."""

    kernel_size: int

    def __init__(self, in_channels: int, out_channels: int, key: str) -> None:
        super().__init__()
        k = self.kernel_size
        self.key = key
        self.weight = nn.Parameter(torch.empty(out_channels, k, k, k, in_channels))
        init_weight(self.weight)

    def extra_repr(self) -> str:
        out, k, _, _, given = self.weight.shape
        return f'{given}, {out}, kernel_size={k}, key={self.key!r}'


class SubmanifoldConv(_Convolution):
    """3 x 3 x 3 convolution whose outputs are the cells of its input; no bias.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        key: Name of the level; convolutions of a level share their pairs.
    """

    kernel_size = 3

    def forward(self, x: GatherTensor) -> GatherTensor:
        """Cells in, the same cells out."""
        pairs = x.maps.get(self.key)
        if pairs is None:
            pairs = submanifold_pairs(x.indices, x.spatial_shape, x.batch_size)
            x.maps[self.key] = pairs
        return x.replace_feature(convolve(x.features, self.weight, pairs, len(x.indices)))


class DownConv(_Convolution):
    """Convolution of kernel and stride 2; no bias.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        key: Name of the step between two levels, by which an `UpConv` finds the way back.
    """

    kernel_size = 2

    def forward(self, x: GatherTensor) -> GatherTensor:
        """Cells in, coarse cells out."""
        if any(extent % 2 for extent in x.spatial_shape):
            raise ValueError(f'Expected even extents to halve, but got {x.spatial_shape}')
        coarse, pairs = halving_pairs(x.indices, x.spatial_shape, x.batch_size)
        shape = [extent // 2 for extent in x.spatial_shape]
        x.maps[self.key] = Halving(x.indices, x.spatial_shape, coarse, shape, pairs)
        out = convolve(x.features, self.weight, pairs, len(coarse))
        return GatherTensor(out, coarse, shape, x.batch_size, x.maps)


class UpConv(_Convolution):
    """The way back of the `DownConv` of the same key: its input cells, in their order; no bias.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        key: Name of the step between two levels.
    """

    kernel_size = 2

    def forward(self, x: GatherTensor) -> GatherTensor:
        """Coarse cells in, the cells before the halving out."""
        step: Halving = x.maps[self.key]
        pairs = [(coarse, fine) for fine, coarse in step.pairs]
        out = convolve(x.features, self.weight, pairs, len(step.fine))
        return GatherTensor(out, step.fine, step.fine_shape, x.batch_size, x.maps)


def init_weight(weight: Tensor) -> None:
    """Uniform within one over the root of the inputs of an output, as torch's own layers."""
    bound = 1 / math.sqrt(math.prod(weight.shape[1:]))
    nn.init.uniform_(weight, -bound, bound)


def convolve(
    features: Tensor, weight: Tensor, pairs: Sequence[Pairs | None], n_outputs: int
) -> Tensor:
    """Sum over the weights k of ``features[inputs of k] @ weight[k]``, added to the outputs of k.

    It is computed in the dtype of the weight, also where autocast is on. Outputs have to be
    different within one k: then nothing depends on the order of additions, and a repetition gives
    the same bits on a GPU too.

    Args:
        features: (M, in) float.
        weight: (out, k, k, k, in) float.
        pairs: Of each k the rows of inputs and outputs, int64; None: each row meets itself.
        n_outputs: Rows of the result.

    Returns:
        (n_outputs, out).
    """
    with torch.autocast(features.device.type, enabled=False):
        flat = weight.flatten(1, 3).permute(1, 2, 0).contiguous()
        return _GatherMultiply.apply(features.to(weight.dtype), flat, pairs, n_outputs)


class _GatherMultiply(torch.autograd.Function):
    """Keeps the features only: gathered copies of them would be several times as large."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, pairs: Sequence[Pairs | None], n_outputs: int
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        out = features.new_zeros(n_outputs, weight.shape[2])
        for k, (inputs, outputs) in _occurring(pairs):
            _add(out, outputs, _take(features, inputs) @ weight[k])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        back = weight.transpose(1, 2)
        by_features = torch.zeros_like(features) if ctx.needs_input_grad[0] else None
        by_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        for k, (inputs, outputs) in _occurring(ctx.pairs):
            given = _take(grad, outputs)
            if by_weight is not None:
                torch.mm(_take(features, inputs).T, given, out=by_weight[k])
            if by_features is not None:
                _add(by_features, inputs, given @ back[k])
        return by_features, by_weight, None, None


def _occurring(
    pairs: Sequence[Pairs | None],
) -> Iterator[tuple[int, tuple[Tensor | None, Tensor | None]]]:
    """The weights that meet any row, with None for all rows."""
    for k, pair in enumerate(pairs):
        if pair is None:
            yield k, (None, None)
        elif len(pair[0]):
            yield k, pair


def _take(rows: Tensor, index: Tensor | None) -> Tensor:
    return rows if index is None else rows.index_select(0, index)


def _add(out: Tensor, index: Tensor | None, rows: Tensor) -> None:
    if index is None:
        out += rows
    else:
        out.index_add_(0, index, rows)
