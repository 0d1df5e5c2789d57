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


@dataclass(frozen=True)
class DetectionOptions:
    """Which boxes of a detector an acquisition sees.

    Attributes:
        score_thr: Least score, in [0, 1].
        nms_iou: Boxes of one class that overlap more are suppressed, in (0, 1].
        nms_pre: Best candidates before the suppression.
        max_boxes: Best boxes after it.
        passes: Stochastic passes of the head, with dropout in front of its last layers.
        dropout: Probability of that dropout.
        seed: Of the dropout; each sample and pass has a stream of its own.
        pair_thr: A candidate counts once for each class more probable than this, as in the
            released sandbox; None: once, for its most probable class.
    """

    score_thr: float = 0.5
    nms_iou: float = 0.5
    nms_pre: int = 1000
    max_boxes: int = 20
    passes: int = 0
    dropout: float = 0.5
    seed: int = 0
    pair_thr: float | None = None


@dataclass(frozen=True, eq=False)
class DetPrediction:
    """What a detector says of one image: K boxes that survived the threshold and the suppression.

    Attributes:
        sample: Index into the manifest.
        boxes: (K, 4) float32, x1 y1 x2 y2 in pixels of the original image, best first.
        probs: (K, C) float32 in [0, 1], probabilities of the classes; those of a sigmoid head need
            not sum to 1.
        background: (K,) float32 in [0, 1], probability of no object.
        scores: (K,) float32 in [0, 1], what the detector ranks by.
        passes: (M, K, C) float32, `probs` of M stochastic passes over the same anchors or
            proposals; None where none were asked.
        box_passes: (M, K, 4) float32, `boxes` of those passes.
        image_features: (D,) float32, pooled outputs of the head before activation; None where none
            were asked.
        classes: (K,) int64, what each box counts as; None: its most probable class.
    """

    sample: int
    boxes: np.ndarray
    probs: np.ndarray
    background: np.ndarray
    scores: np.ndarray
    passes: np.ndarray | None = None
    box_passes: np.ndarray | None = None
    image_features: np.ndarray | None = None
    classes: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """(K,) int64: the class of each box."""
        return self.probs.argmax(axis=1) if self.classes is None else self.classes
