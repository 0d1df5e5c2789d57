"""Drawing fully and weakly labelled samples in a fixed ratio."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class LevelSampler(Sampler):
    """Endless draws with replacement, a share of them from the fully labelled samples.

    Each draw decides anew (Vo et al. 2022); while there is one kind only, all draws are from it.

    Args:
        dataset: Has `full`, (N,) bool: which of its samples are fully labelled.
        full_share: Probability in (0, 1) that a draw is a fully labelled sample.
        seed: None: one that all processes share.

    Raises:
        ValueError: `full_share` out of range, a data set that does not tell its levels.
    """

    def __init__(self, dataset: Any, full_share: float = 0.5, seed: int | None = None) -> None:
        if not 0 < full_share < 1:
            raise ValueError(f'Expected `full_share` in (0, 1), but got {full_share!r}')
        if not hasattr(dataset, 'full'):
            raise ValueError(f'Expected a data set with levels, but got {type(dataset).__name__}')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        full = torch.as_tensor(dataset.full, dtype=torch.bool)
        self.groups = [full.nonzero()[:, 0], (~full).nonzero()[:, 0]]
        self.full_share, self.size = full_share, len(full)

    def __iter__(self) -> Iterator[int]:
        yield from islice(self._endless(), self.rank, None, self.world_size)

    def _endless(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self.seed)
        while True:
            level, place = torch.rand(2, generator=generator).tolist()
            group = self.groups[0 if level < self.full_share else 1]
            if len(group) == 0:
                group = self.groups[0] if len(self.groups[0]) else self.groups[1]
            yield int(group[min(int(place * len(group)), len(group) - 1)])

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Draws have no epochs."""
