"""What a model says about a sample, as an acquisition sees it."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class SegPrediction:
    """Semantic segmentation of one image.

    Attributes:
        sample: Index into the manifest.
        probs: (C, H, W) float32, summing to 1 over C, at the image's original size; on any device.
        features: (D, h, w) float32 embedding in front of the last layer at its own resolution,
            None unless asked for.
    """

    sample: int
    probs: torch.Tensor
    features: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.probs.ndim != 3:
            raise ValueError(
                f'Expected `probs` of shape (C, H, W), but got {tuple(self.probs.shape)}'
            )

    @property
    def labels(self) -> np.ndarray:
        """(H, W) uint8 most probable class."""
        return self.probs.argmax(0).to(torch.uint8).cpu().numpy()
