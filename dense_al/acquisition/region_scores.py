"""Scores of region-based methods: a map over pixels from the class probabilities."""

from typing import Any, ClassVar

import torch

from dense_al.acquisition import functional as F
from dense_al.registry import SCORES


@SCORES.register
class RIPU:
    """Region impurity times prediction uncertainty of the window around each pixel (Xie et al.).

    Args:
        radius: Pixels from the centre to the edge of a window, >= 0; 1 as published for regions.
        uncertainty_radius: That of the window of the uncertainty, where it differs; single pixels
            are published with 0, their own entropy, and `radius=32`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs'})
    input: ClassVar[str] = 'image'

    def __init__(self, radius: int = 1, uncertainty_radius: int | None = None) -> None:
        near = radius if uncertainty_radius is None else uncertainty_radius
        for name, value in (('radius', radius), ('uncertainty_radius', near)):
            if not isinstance(value, int) or value < 0:
                raise ValueError(
                    f'Expected `{name}` to be an integer of at least 0, but got {value!r}'
                )
        self.radius, self.uncertainty_radius = radius, near

    def __call__(self, probs: torch.Tensor) -> Any:
        """(H, W) score of each pixel from (C, H, W) probabilities."""
        # On a CPU the sums of large windows are six times faster in NumPy.
        values = probs.numpy() if probs.device.type == 'cpu' else probs
        return F.ripu_score(values, self.radius, uncertainty_radius=self.uncertainty_radius)


@SCORES.register
class BestVersusSecondBest:
    """Second-largest probability over the largest (Joshi et al. 2009).

    With `weight='rarity'` and the mean over superpixels this is BvSB-CB of Cai et al. 2021.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs'})

    def __call__(self, probs: torch.Tensor) -> Any:
        """(H, W) score of each pixel from (C, H, W) probabilities."""
        return F.best_versus_second_best(probs, axis=0)
