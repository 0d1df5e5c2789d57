"""The small Darknet of the published detection sandbox (Riedlinger et al. 2023)."""

from typing import ClassVar

from mmdet.models.backbones.darknet import Darknet
from mmdet.registry import MODELS


@MODELS.register_module()
class ShallowDarknet(Darknet):
    """Darknet with 1, 1, 1, 2 and 2 residual blocks and at most 512 channels (`depth=20`)."""

    # Depth -> residual blocks of each stage, and channels into and out of each stage.
    arch_settings: ClassVar[dict] = {
        **Darknet.arch_settings,
        20: ((1, 1, 1, 2, 2), ((32, 32), (32, 64), (64, 128), (128, 256), (256, 512))),
    }
