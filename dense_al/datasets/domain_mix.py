"""Training on two domains: a labelled source, and answered images of the target."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATA_SAMPLERS

from dense_al.datasets.images import through_pipeline
from dense_al.datasets.level_sampler import TwoGroupSampler
from dense_al.datasets.segmentation import PoolSegDataset


class SourceSegDataset(BaseDataset):
    """Images of the source domain with their label files; metainfo then holds `domain`.

    Args:
        records: One dict per image, with `img_path` and `seg_map_path`.
        metainfo: Class names and palette.
        pipeline: Transforms of the source's own config, which load the labels.
    """

    def __init__(
        self, records: Sequence[dict[str, Any]], metainfo: dict[str, Any], pipeline: Sequence[Any]
    ) -> None:
        self._records = records
        super().__init__(metainfo=metainfo, pipeline=list(pipeline), serialize_data=False)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Records of all images."""
        return [{**record, 'domain': 'source'} for record in self._records]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The record of one image, as mmseg's transforms expect it."""
        info = super().get_data_info(idx)
        return {'reduce_zero_label': False, 'label_map': None, **info, 'seg_fields': []}

    def __getitem__(self, idx: int) -> Any:
        path = self._records[idx]['img_path']
        return through_pipeline(self.pipeline, lambda: self.get_data_info(idx), path)


class DomainsDataset:
    """Source images, then target images.

    Args:
        source: Labelled images.
        target: Answered images, None if there are none.
    """

    def __init__(self, source: SourceSegDataset, target: PoolSegDataset | None) -> None:
        self._source, self._target = source, target
        self.metainfo = source.metainfo

    @property
    def of_source(self) -> list[bool]:
        """(N,) which samples are of the source domain."""
        return [i < len(self._source) for i in range(len(self))]

    def full_init(self) -> None:
        """Both are there already."""

    def __len__(self) -> int:
        return len(self._source) + (0 if self._target is None else len(self._target))

    def __getitem__(self, idx: int) -> Any:
        if idx < len(self._source):
            return self._source[idx]
        assert self._target is not None
        return self._target[idx - len(self._source)]


@DATA_SAMPLERS.register_module()
class DomainSampler(TwoGroupSampler):
    """Endless draws with replacement, a share of them from the source domain.

    The domains take turns: with a share of 0.5 an even batch has as many images of one as of the
    other, as published trainers do, and adversarial ones need.

    Args:
        dataset: A `DomainsDataset`.
        source_share: Share in (0, 1) of the draws that are source images, once there are answers.
        seed: None: one that all processes share.
    """

    def __init__(
        self, dataset: DomainsDataset, source_share: float = 0.5, seed: int | None = None
    ) -> None:
        super().__init__(dataset.of_source, source_share, in_turn=True, seed=seed)
