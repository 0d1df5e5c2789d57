"""Batch normalisation that stays as it was loaded."""

from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class FrozenBN(nn.BatchNorm2d):
    """Batch normalisation with fixed statistics, for batches of one image.

    As a `norm_cfg`, `dict(type='FrozenBN', requires_grad=False)`; mmcv takes the second part as
    whether scale and shift learn. A new layer changes nothing, so that pretrained weights matter.
    """

    def train(self, mode: bool = True) -> 'FrozenBN':
        """Does not turn training on."""
        return super().train(False)
