"""Scores of the points of scans that depend on where the points lie."""

from typing import Any, ClassVar

import numpy as np
import torch

from dense_al.acquisition import functional as F
from dense_al.registry import SCORES, UNITS


class GeometryScore:
    """A score that sees the points of a scan beside the predictions.

    Attributes:
        fixed: Whether it depends on the points alone, so that it is the same in every round.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs', 'points'})
    fixed: ClassVar[bool] = False

    def of_points(self, probs: torch.Tensor, points: np.ndarray) -> np.ndarray:
        """(N, 1) float64 score of each point.

        Args:
            probs: (C, N, 1) probabilities.
            points: (N, 3) float32 in metres, in the frame of the sensor, as regions are made in it.
        """
        raise NotImplementedError


@SCORES.register
class SurfaceVariation(GeometryScore):
    """How far the surroundings of a point are from a plane (ReDAL, Wu et al. 2021).

    Args:
        neighbours: Nearest points, the point itself among them, >= 3; 50 as published.
        most: Values above are cut, as released at 0.1.
    """

    fixed: ClassVar[bool] = True

    def __init__(self, neighbours: int = 50, most: float = 0.1) -> None:
        if not isinstance(neighbours, int) or neighbours < 3:
            raise ValueError(
                f'Expected `neighbours` to be an integer of at least 3, but got {neighbours!r}'
            )
        if not 0 < most <= 1:
            raise ValueError(f'Expected `most` in (0, 1], but got {most!r}')
        self.neighbours, self.most = neighbours, most

    def of_points(self, probs: torch.Tensor, points: np.ndarray) -> np.ndarray:
        found = F.surface_variation(points, self.neighbours)
        return np.minimum(found, self.most)[:, None]


@SCORES.register
class SegmentEntropy(GeometryScore):
    """How mixed the predicted classes of the region around a point are, in bits.

    The mean over a frame is the entropy of its regions weighted by their sizes, a baseline of LiDAL
    (Hu et al. 2022).

    Args:
        regions: Config of the regions, such as ``dict(type='BalancedClusters')``; none that
            depend on where the scan was taken.
    """

    def __init__(self, regions: Any = 'BalancedClusters') -> None:
        self.regions = UNITS.build(regions, 'acquisition.score.regions')
        if getattr(self.regions, 'needs_pose', True):
            raise ValueError(f'Expected regions of single scans, but got {self.regions}')

    def of_points(self, probs: torch.Tensor, points: np.ndarray) -> np.ndarray:
        regions = self.regions.map(points, np.eye(4))
        labels = probs.argmax(0).ravel().cpu().numpy()
        return F.label_entropy(labels, regions, len(probs))[regions][:, None]
