"""Scores of elements: a map over pixels from the class probabilities, higher = ask first."""

from typing import Any, ClassVar

import torch

from dense_al.acquisition import functional as F
from dense_al.registry import SCORES, ConfigError


@SCORES.register
class Random:
    """One uniform draw per unit; no model is run for it."""

    needs: ClassVar[frozenset[str]] = frozenset()


def pixel_score(cfg: Any, field: str, or_random: bool = False) -> Any:
    """Builds the score of single pixels, from nothing but the class probabilities.

    Args:
        cfg: Config of the score.
        field: Its name in the config.
        or_random: Whether `Random`, which is no map over pixels, will do as well.

    Raises:
        ConfigError: It is not one: it draws units or looks at the points of scans.
    """
    score = SCORES.build(cfg, field)
    if not callable(score) and not (or_random and isinstance(score, Random)):
        raise ConfigError(
            f'Expected `{field}` to be a score of pixels from their probabilities, but got '
            f'{type(score).__name__}'
        )
    return score


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
