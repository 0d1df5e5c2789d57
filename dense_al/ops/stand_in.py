"""A module in the place of `mmcv._ext`, for machines where mmcv has no compiled operators."""

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from dense_al.ops.build import BUILD_COMMAND
from dense_al.ops.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from dense_al.ops.nms import nms, softnms
from dense_al.ops.roi_align import roi_align_backward, roi_align_forward

NAME = 'mmcv._ext'
OPERATORS: tuple[Callable[..., Any], ...] = (
    nms,
    softnms,
    roi_align_forward,
    roi_align_backward,
    sigmoid_focal_loss_forward,
    sigmoid_focal_loss_backward,
)
_ROI = frozenset({'nms', 'roi_align_forward', 'roi_align_backward'})
_FOCAL = frozenset({'nms', 'sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward'})
# What training and inference of mmdet's stock configs call; the focal loss on a GPU only, as mmdet
# takes its own on a CPU. `softnms` is called where `test_cfg` asks for it. Points of masks
# (`point_sample`) are pure torch, and none of these deforms a convolution.
FAMILIES: dict[str, frozenset[str]] = {
    'RetinaNet': _FOCAL,
    'FasterRCNN': _ROI,
    'MaskRCNN': _ROI,
    'YOLOV3': frozenset({'nms'}),
    'FCOS': _FOCAL,
    'CondInst': _FOCAL,
}


class StandIn(ModuleType):
    """Looks like `mmcv._ext`: has every operator, of which most only say how to get them.

    Args:
        reason: Why the compiled module is not used.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(NAME, 'Operators of mmcv in plain torch, see dense_al.ops.')
        # Tools ask importlib.util.find_spec whether the operators exist; it demands a spec.
        self.__spec__ = ModuleSpec(NAME, loader=None, origin='dense_al.ops')
        self._reason = reason
        for operator in OPERATORS:
            setattr(self, operator.__name__, operator)

    def get_compiler_version(self) -> str:
        """What mmcv reports as its compiler."""
        return 'none (plain torch, dense_al.ops)'

    def get_compiling_cuda_version(self) -> str:
        """What mmcv reports as the CUDA of its operators."""
        return 'not available'

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith('_'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')
        return _missing(name, self._reason)


def install() -> str:
    """Makes mmcv's operators importable, compiled where they work, in plain torch elsewhere.

    Call it before mmdet or mmseg are imported. Calling it again changes nothing.

    Returns:
        `compiled` if mmcv's own module works, which is then left alone, or `stand-in`.

    Raises:
        ModuleNotFoundError: mmcv itself is not installed.
    """
    present = sys.modules.get(NAME)
    if present is not None:
        return 'stand-in' if isinstance(present, StandIn) else 'compiled'
    try:
        mmcv = importlib.import_module('mmcv')
    except ModuleNotFoundError as error:
        if error.name != 'mmcv':
            raise
        raise ModuleNotFoundError(
            'Expected mmcv to be installed, but got none: pip install "dense_al[mm]"', name='mmcv'
        ) from error
    try:
        importlib.import_module(NAME)
    except (ImportError, OSError, RuntimeError) as error:
        # Absent, built against another torch, lacking a CUDA library, registering twice.
        module = StandIn(f'{type(error).__name__}: {error}')
        sys.modules[NAME] = module
        mmcv._ext = module  # type: ignore[attr-defined]
        return 'stand-in'
    return 'compiled'


def _missing(name: str, reason: str) -> Callable[..., Any]:
    """A function that raises for want of the operator `name`."""

    def missing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"Expected mmcv's compiled operators for `{name}`, but got the stand-in, which has "
            f'{", ".join(sorted(operator.__name__ for operator in OPERATORS))} only '
            f'({reason}). Build them: {BUILD_COMMAND}'
        )

    missing.__name__ = missing.__qualname__ = name
    return missing
