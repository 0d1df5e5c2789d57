"""The classifier of DeepLab-V2: dilated convolutions of several rates, summed.

Chen et al., DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution,
and Fully Connected CRFs, TPAMI 2018.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

RATES = (6, 12, 18, 24)


class DilatedSum(nn.Module):
    """The sum of 3 x 3 convolutions with different dilations; (B, C, H, W) to (B, D, H, W).

    Args:
        in_channels: C.
        out_channels: D.
        dilations: Rate of each convolution, at least one.
        bias: Whether they have biases.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilations: Sequence[int], bias: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, 3, padding=rate, dilation=rate, bias=bias)
            for rate in dilations
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, H, W)."""
        first, *others = (layer(features) for layer in self.layers)
        return sum(others, first)


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """Four dilated convolutions on the backbone's last feature map; no normalisation, no ReLU.

    `conv_seg` is what maps the features of a pixel's surroundings to its classes: the summed
    convolutions themselves, as published, so that the features are the backbone's; or, with
    `channels`, a 1 x 1 convolution behind them (as in D2ADA, Wu et al., ECCV 2022, with 256), so
    that the features are the sum.

    Args:
        in_channels: Of the backbone's feature map.
        channels: Width of the sum; None: its width is the number of classes.
        dilations: Rates of the convolutions.
        dropout_ratio: In front of `conv_seg`.
        **kwargs: Of mmseg's decode heads.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int | None = None,
        dilations: Sequence[int] = RATES,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        width = in_channels if channels is None else channels
        super().__init__(in_channels, width, dropout_ratio=dropout_ratio, **kwargs)
        self.mix: nn.Module = nn.Identity()
        if channels is None:
            self.conv_seg = DilatedSum(in_channels, self.out_channels, dilations, bias=True)
        else:
            self.mix = DilatedSum(in_channels, channels, dilations, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, C, h, w) logits at the size of the feature map."""
        return self.cls_seg(self.mix(self._transform_inputs(inputs)))
