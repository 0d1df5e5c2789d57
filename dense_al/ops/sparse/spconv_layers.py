"""Sparse convolutions of spconv with the names and the weights of those in plain torch.

Importing this module imports spconv.
"""

import logging
from collections.abc import Callable
from typing import Any

import spconv.pytorch as spconv
import torch
from spconv.core import ConvAlgo
from spconv.cppconstants import CPU_ONLY_BUILD
from spconv.pytorch import ops
from torch import Tensor

from dense_al.ops.sparse.gather import init_weight

NO_GPU = 'this spconv is built for the CPU alone; install spconv-cu126, or take backend `torch`'
if not torch.cuda.is_available():
    # The backward pass asks for CUDA's stream even where all is on the CPU, which does not use it.
    ops.get_current_stream = lambda: 0
# Making spconv's tensor asks torch.fx a question that it answers with a warning to its own authors.
logging.getLogger('torch.fx._symbolic_trace').addFilter(
    lambda record: 'is_fx_tracing' not in record.getMessage()
)


def make_tensor(
    features: Tensor, indices: Tensor, spatial_shape: list[int], batch_size: int
) -> spconv.SparseConvTensor:
    """A `SparseTensor` of spconv.

    Raises:
        RuntimeError: Features on a GPU and a spconv that was built without one.
    """
    if features.is_cuda and CPU_ONLY_BUILD:
        raise RuntimeError(f'Expected features on the CPU, but got {features.device}: {NO_GPU}')
    return spconv.SparseConvTensor(features, indices, spatial_shape, batch_size)


class _OnEitherDevice:
    """Takes spconv's algorithm for the device of the input, and the shared initial weights."""

    weight: Tensor
    algo: ConvAlgo
    _conv_forward: Callable[..., Any]

    def reset_parameters(self) -> None:
        init_weight(self.weight)

    def forward(self, x: spconv.SparseConvTensor) -> Any:
        self.algo = ConvAlgo.MaskImplicitGemm if x.features.is_cuda else ConvAlgo.Native
        # Spconv's own `forward` gives no gradients on a GPU wherever the layer is in eval mode.
        return self._conv_forward(torch.is_grad_enabled(), x, self.weight, None)


class SubmanifoldConv(_OnEitherDevice, spconv.SubMConv3d):
    """3 x 3 x 3 convolution whose outputs are the cells of its input; see `gather`."""

    def __init__(self, in_channels: int, out_channels: int, key: str) -> None:
        super().__init__(in_channels, out_channels, 3, bias=False, indice_key=key)


class DownConv(_OnEitherDevice, spconv.SparseConv3d):
    """Convolution of kernel and stride 2; see `gather`."""

    def __init__(self, in_channels: int, out_channels: int, key: str) -> None:
        super().__init__(in_channels, out_channels, 2, stride=2, bias=False, indice_key=key)


class UpConv(_OnEitherDevice, spconv.SparseInverseConv3d):
    """The way back of the `DownConv` of the same key; see `gather`."""

    def __init__(self, in_channels: int, out_channels: int, key: str) -> None:
        super().__init__(in_channels, out_channels, 2, indice_key=key, bias=False)
