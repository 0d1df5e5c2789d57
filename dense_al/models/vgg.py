"""VGG with a finer last stage, as weakly supervised detectors use it (OICR; Tang et al. 2017)."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import VGG
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class DilatedVGG(VGG, BaseModule):
    """VGG without its fourth and fifth pooling; the fifth stage is dilated instead. Stride 8.

    The last convolution is not followed by a ReLU, as in the released detectors.

    Args:
        depth: 11, 13, 16 or 19.
        frozen_stages: First stages whose weights stay, 2 as published.
        init_cfg: Of mmengine, such as the weights of ImageNet.
    """

    def __init__(self, depth: int = 16, frozen_stages: int = 2, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        # mmcv's class ends its own set-up with the one of nn.Module, which would forget init_cfg.
        VGG.__init__(
            self,
            depth,
            dilations=(1, 1, 1, 1, 2),
            out_indices=(4,),
            frozen_stages=frozen_stages,
            with_last_pool=False,
        )
        self.init_cfg = init_cfg
        self.features[self.range_sub_modules[3][1] - 1] = nn.Identity()
        self.features[-1] = nn.Identity()

    def init_weights(self, pretrained: Any = None) -> None:
        """Loads what `init_cfg` says; else as mmcv does."""
        if self.init_cfg:
            BaseModule.init_weights(self)
        else:
            VGG.init_weights(self)

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(N, 512, H / 8, W / 8) in a tuple."""
        return (super().forward(x),)
