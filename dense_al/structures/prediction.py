"""What a model says about a sample, as an acquisition sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from dense_al.registry import check_range


@dataclass(frozen=True, eq=False)
class SegPrediction:
    """Semantic segmentation of one image, or of one scan of N points as (N, 1) pixels.

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
class ScanOptions:
    """How a scan is predicted.

    Attributes:
        passes: Views of the scan, each through the steps of training, whose probabilities are
            averaged; 1: the scan as it is.
        seed: Of the views; each sample and pass has a stream of its own.
    """

    passes: int = 1
    seed: int = 0


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
            detector's own results; None: once, for its most probable class.
        remembered: Sample -> (Q, 4) float32 boxes of earlier rounds whose features are wanted.
    """

    score_thr: float = 0.5
    nms_iou: float = 0.5
    nms_pre: int = 1000
    max_boxes: int = 20
    passes: int = 0
    dropout: float = 0.5
    seed: int = 0
    pair_thr: float | None = None
    remembered: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ('score_thr', 'nms_iou', 'dropout'):
            value = getattr(self, name)
            check_range(f'acquisition.{name}', value, 0, 1, above=name == 'nms_iou')
        for name, least in (('nms_pre', 1), ('max_boxes', 1), ('passes', 0)):
            check_range(f'acquisition.{name}', getattr(self, name), least)


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
        labels: (K,) int64, the class each box is ranked for.
        passes: (M, K, C) float32, `probs` of M stochastic passes over the same anchors or
            proposals; None where none were asked.
        box_passes: (M, K, 4) float32, `boxes` of those passes.
        image_features: (D,) float32 of the whole image; None where none were asked.
        box_features: (K, D) float32 of the boxes; None where none were asked.
        remembered: (Q, D) float32 features of boxes of an earlier round; None for a sample of which
            none are remembered.
        tags: (T,) int64 classes known to be in the image; None where that is not known.
        weak_loss: What the image's tags cost a model that learns from tags; None unless asked for
            and known.
    """

    sample: int
    boxes: np.ndarray
    probs: np.ndarray
    background: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    passes: np.ndarray | None = None
    box_passes: np.ndarray | None = None
    image_features: np.ndarray | None = None
    box_features: np.ndarray | None = None
    remembered: np.ndarray | None = None
    tags: np.ndarray | None = None
    weak_loss: float | None = None


@dataclass(frozen=True)
class MaskOptions:
    """Which maps of an object an acquisition sees.

    Attributes:
        views: Where the predictions of one object come from: `positives` (places or proposals that
            training would match to it), `flip` (the image and its mirror image) or `dropout`.
        mean: Whether their mean is enough; it is all that is kept then.
        most: Positives of an object, best scores first; of an image together at most 500.
        passes: Passes with dropout in front of the last layers.
        dropout: Probability of that dropout.
        seed: Of the dropout; each sample and pass has a stream of its own.
    """

    views: str = 'positives'
    mean: bool = True
    most: int = 32
    passes: int = 8
    dropout: float = 0.5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class InstancePrediction:
    """What a model says of the given objects of one image: N boxes that people drew.

    Attributes:
        sample: Index into the manifest.
        size: Height and width of the image in pixels.
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels of the original image.
        has_mask: (N,) bool, objects whose whole mask is known.
        asked: For each object (n_i, 2) int64 y, x of the pixels that were asked.
        maps: For each object (V, h, w) float32 foreground probabilities of the pixels in its box,
            see `pixel_boxes`; None where the model has nothing to say. Empty unless asked for.
    """

    sample: int
    size: tuple[int, int]
    boxes: np.ndarray
    has_mask: np.ndarray
    asked: tuple[np.ndarray, ...]
    maps: tuple[np.ndarray | None, ...] = ()
