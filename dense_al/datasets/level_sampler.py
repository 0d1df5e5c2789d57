"""Drawing training samples of two groups in a fixed ratio."""

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class TwoGroupSampler(Sampler):
    """Endless draws with replacement, a share of them from the first of two groups.

    While one group is empty, all draws are from the other.

    Args:
        first: (N,) bool, which samples are of the first group.
        share: Share in (0, 1) of the draws that are of the first group.
        in_turn: Whether the groups take turns, in each process; else each draw decides anew.
        seed: None: one that all processes share.
    """

    def __init__(
        self,
        first: Sequence[bool],
        share: float,
        in_turn: bool = False,
        seed: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        given = torch.as_tensor(first, dtype=torch.bool)
        self.groups = [given.nonzero()[:, 0], (~given).nonzero()[:, 0]]
        self.share, self.in_turn, self.size = share, in_turn, len(given)

    def __iter__(self) -> Iterator[int]:
        yield from islice(self._endless(), self.rank, None, self.world_size)

    def _endless(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self.seed)
        for draw in count():
            which, place = torch.rand(2, generator=generator).tolist()
            if self.in_turn:
                turn = draw // self.world_size  # of each process
                which = 1.0 - (int((turn + 1) * self.share) - int(turn * self.share))
            group = self.groups[0 if which < self.share else 1]
            if len(group) == 0:
                group = self.groups[0] if len(self.groups[0]) else self.groups[1]
            yield int(group[min(int(place * len(group)), len(group) - 1)])

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Draws have no epochs."""


@DATA_SAMPLERS.register_module()
class LevelSampler(TwoGroupSampler):
    """Endless draws with replacement, a share of them from the fully labelled samples.

    Each draw decides anew (Vo et al. 2022).

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
        super().__init__(dataset.full, full_share, seed=seed)
