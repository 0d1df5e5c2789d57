"""The operators of torchvision, where it is installed and fits the installed torch."""

from functools import lru_cache
from typing import Any

import torch


@lru_cache(maxsize=1)
def torchvision_ops() -> Any:
    """The namespace `torch.ops.torchvision`, or None where its operators cannot be had.

    A torchvision built for another torch imports with an error or without its operators; both
    count as absent.
    """
    try:
        import torchvision  # noqa: F401

        for name in ('nms', 'roi_align', '_roi_align_backward'):
            getattr(torch.ops.torchvision, name)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None
    return torch.ops.torchvision


def usable(*tensors: torch.Tensor) -> bool:
    """Whether torchvision's operators are there and take tensors of these dtypes.

    Args:
        *tensors: The floating-point arguments; float32 or float64 of one dtype is taken.
    """
    dtypes = {tensor.dtype for tensor in tensors}
    ordinary = len(dtypes) == 1 and dtypes <= {torch.float32, torch.float64}
    return ordinary and torchvision_ops() is not None
