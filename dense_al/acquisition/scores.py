"""Scores of elements: a map over pixels from the class probabilities, higher = ask first."""

from typing import Any, ClassVar

import torch

from dense_al.acquisition import functional as F
from dense_al.registry import SCORES


@SCORES.register
class Random:
    """One uniform draw per unit; no model is run for it."""

    needs: ClassVar[frozenset[str]] = frozenset()


class _PixelScore:
    needs: ClassVar[frozenset[str]] = frozenset({'probs'})

    def __call__(self, probs: torch.Tensor) -> Any:
        """(H, W) score of each pixel from (C, H, W) probabilities."""
        raise NotImplementedError


@SCORES.register
class Entropy(_PixelScore):
    """Entropy of the class probabilities, in nats (Shannon 1948)."""

    def __call__(self, probs: torch.Tensor) -> Any:
        return F.entropy(probs, axis=0)


@SCORES.register
class Margin(_PixelScore):
    """One minus the gap between the two most probable classes (Scheffer et al. 2001)."""

    def __call__(self, probs: torch.Tensor) -> Any:
        return F.margin(probs, axis=0)


@SCORES.register
class LeastConfidence(_PixelScore):
    """One minus the highest probability (Lewis and Gale 1994)."""

    def __call__(self, probs: torch.Tensor) -> Any:
        return F.least_confidence(probs, axis=0)
