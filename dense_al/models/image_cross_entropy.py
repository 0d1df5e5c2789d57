"""Cross-entropy in which every image of a batch counts the same, however much of it is labelled."""

from typing import Any

import torch
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ImageCrossEntropyLoss(CrossEntropyLoss):
    """mmseg's CrossEntropyLoss of each image by itself, averaged over those with labels.

    In a mean over all pixels of a batch a few answered regions of the target drown among whole
    source images; the published trainers of active domain adaptation have one image per batch and
    so do not have that trouble.

    Args:
        **kwargs: Of CrossEntropyLoss.
    """

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            cls_score: (B, C, H, W) float logits.
            label: (B, H, W) int64 classes, `ignore_index` where unlabelled.
            weight: (B, H, W) float of pixels, or None.
            ignore_index: Label of pixels that do not count.
            **kwargs: Of CrossEntropyLoss.

        Returns:
            () in nats; 0 with a gradient of zeros where no pixel has a label.
        """
        losses = [
            super(ImageCrossEntropyLoss, self).forward(
                cls_score[i : i + 1],
                label[i : i + 1],
                None if weight is None else weight[i : i + 1],
                ignore_index=ignore_index,
                **kwargs,
            )
            for i in range(len(label))
            if (label[i] != ignore_index).any()
        ]
        return torch.stack(losses).mean() if losses else cls_score.sum() * 0
