"""Scores of region-based methods: a map over pixels from the class probabilities."""

from typing import Any, ClassVar

import torch

from dense_al.acquisition import functional as F
from dense_al.registry import SCORES


@SCORES.register
class RIPU:
    """Region impurity times prediction uncertainty of the window around each pixel (Xie et al.).

    Args:
        radius: Pixels from the centre to the edge of a window, >= 0; 1 as published.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs'})

    def __init__(self, radius: int = 1) -> None:
        if not isinstance(radius, int) or radius < 0:
            raise ValueError(
                f'Expected `radius` to be an integer of at least 0, but got {radius!r}'
            )
        self.radius = radius

    def __call__(self, probs: torch.Tensor) -> Any:
        """(H, W) score of each pixel from (C, H, W) probabilities."""
        return F.ripu_score(probs, self.radius)


@SCORES.register
class BestVersusSecondBest:
    """Second-largest probability over the largest (Joshi et al. 2009).

    With `weight='rarity'` and the mean over superpixels this is BvSB-CB of Cai et al. 2021.
    """

    needs: ClassVar[frozenset[str]] = frozenset({'probs'})

    def __call__(self, probs: torch.Tensor) -> Any:
        """(H, W) score of each pixel from (C, H, W) probabilities."""
        return F.best_versus_second_best(probs, axis=0)
