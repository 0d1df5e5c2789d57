"""Who computes sparse convolutions: spconv, or plain torch wherever spconv is absent."""

import functools
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

NAMES = ('spconv', 'torch')
# Seen with spconv 2.3.8: other results in each run, wrong by half of their size.
RACES = 'its kernels for CPUs race where there are several threads'
logger = logging.getLogger('dense_al')


@dataclass(frozen=True)
class Backend:
    """Sparse tensors and the convolutions over them.

    The layers of all backends have one parameter, `weight` (out, k, k, k, in), equal at the same
    state of torch's generator, so that a checkpoint of one loads in the other.

    Attributes:
        name: One of `NAMES`.
        tensor: Makes a `SparseTensor` from features, indices, spatial_shape and batch_size.
        submanifold: Layer from in_channels, out_channels and key: kernel 3, the same cells.
        down: Layer from the same: kernel and stride 2.
        up: Layer from the same: back to the cells before the `down` of this key.
    """

    name: str
    tensor: Callable[..., Any]
    submanifold: Callable[[int, int, str], nn.Module]
    down: Callable[[int, int, str], nn.Module]
    up: Callable[[int, int, str], nn.Module]


def available() -> tuple[str, ...]:
    """The backends that import here, the fastest first; `torch` always does."""
    return NAMES if _why_no_spconv() is None else ('torch',)


def load(name: str = 'auto') -> Backend:
    """A backend; `auto` takes spconv where it works on the machine's devices, else plain torch.

    Which one that is stands once in the log.

    Args:
        name: One of `NAMES`, or `auto`.

    Raises:
        ValueError: Another name, or spconv on a CPU with several threads.
        ImportError: spconv is asked for and does not import.
    """
    if name == 'auto':
        return _load(_automatic(torch.get_num_threads()))
    if name not in NAMES:
        raise ValueError(f'Expected a backend of {("auto", *NAMES)}, but got {name!r}')
    if name == 'spconv' and (reason := _why_no_spconv()) is not None:
        raise ImportError(
            f'Expected spconv to import, but got {reason}: pip install "dense_al[lidar]", or '
            'choose the backend `torch`'
        )
    if name == 'spconv' and not torch.cuda.is_available() and torch.get_num_threads() > 1:
        raise ValueError(
            f'Expected one thread for spconv on a CPU, but got {torch.get_num_threads()}: '
            f'{RACES}; set OMP_NUM_THREADS=1, or choose the backend `torch`'
        )
    return _load(name)


@functools.cache
def _load(name: str) -> Backend:
    if name == 'spconv':
        layers: Any = importlib.import_module('dense_al.ops.sparse.spconv_layers')
        tensor = layers.make_tensor
    else:
        layers = importlib.import_module('dense_al.ops.sparse.gather')
        tensor = layers.GatherTensor
    return Backend(name, tensor, layers.SubmanifoldConv, layers.DownConv, layers.UpConv)


@functools.cache
def _automatic(threads: int) -> str:
    reason = _why_no_spconv() or _why_not_on_gpu()
    if reason is None and threads > 1 and not torch.cuda.is_available():
        reason = RACES
    if reason is None:
        logger.info('sparse convolutions: spconv')
        return 'spconv'
    logger.info('sparse convolutions: torch (%s)', reason)
    return 'torch'


def _why_not_on_gpu() -> str | None:
    """What keeps an spconv that imports from this machine's GPU, None without one."""
    layers: Any = importlib.import_module('dense_al.ops.sparse.spconv_layers')
    return layers.NO_GPU if torch.cuda.is_available() and layers.CPU_ONLY_BUILD else None


@functools.cache
def _why_no_spconv() -> str | None:
    """The error of importing spconv, None if there is none."""
    try:
        importlib.import_module('dense_al.ops.sparse.spconv_layers')
    except Exception as error:  # compiled extensions fail in many ways
        return f'{type(error).__name__}: {error}'
    return None
