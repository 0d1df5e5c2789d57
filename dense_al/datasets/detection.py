"""mmdet data sets that show a trainer what was answered, and a predictor only images."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from dense_al.datasets.images import through_pipeline
from dense_al.pool import BoxStore, InstanceStore, TagStore

TRIES = 50  # a random crop without objects gives nothing
KEPT = ('img_path', 'img_id', 'height', 'width', 'proposals')


@DATASETS.register_module()
class PoolDetDataset(BaseDataset):
    """Images of the pool, with objects from answers or none at all; never ground truth.

    Args:
        records: One dict per sample of the pool, in the manifest's order, with `img_path`,
            `img_id`, `height`, `width`, and `proposals` if there are.
        samples: (S,) the samples to show, as indices into the manifest.
        answers: Where objects come from; None shows images only. An `InstanceStore` also gives
            their points and masks; objects without a mask get their box as one, and `has_mask` 0.
        tags: Which classes are in an image, where that is known; metainfo then holds `tags`.
        metainfo: Class names and palette.
        pipeline: Transforms; mmdet's annotation loading reads no file but these records.
        least_side: Objects of a smaller width or height, in pixels, are ignored in training.
        objects: Boxes that are given to a predictor; metainfo then holds `objects`, (N, 4) x1 y1 x2
            y2 in pixels of the original image, and `object_labels`.
    """

    def __init__(
        self,
        records: Sequence[dict[str, Any]],
        samples: Sequence[int],
        answers: BoxStore | None,
        tags: TagStore | None,
        metainfo: dict[str, Any],
        pipeline: Sequence[Any],
        least_side: float = 0,
        objects: BoxStore | None = None,
    ) -> None:
        self._objects = objects
        self._records, self._samples = records, list(samples)
        self._answers, self._tags = answers, tags
        self._least_side = least_side
        super().__init__(metainfo=metainfo, pipeline=list(pipeline), serialize_data=False)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Records of the samples shown, with the answered objects and no other."""
        return [self._record(int(s)) for s in self._samples]

    def _record(self, sample: int) -> dict[str, Any]:
        given = self._records[sample]
        record = {k: given[k] for k in KEPT if k in given}
        known = None if self._tags is None else self._tags.tags(sample)
        if known is not None:
            record['tags'] = known.tolist()
        if self._objects is not None:
            given_objects = self._objects.boxes(sample)
            record['objects'] = given_objects.boxes.tolist()
            record['object_labels'] = given_objects.labels.tolist()
        instances = []
        if self._answers is not None:
            objects = self._answers.boxes(sample)
            small = (objects.boxes[:, 2:] - objects.boxes[:, :2]).min(axis=1) < self._least_side
            instances = [
                {'bbox': box.tolist(), 'bbox_label': int(label), 'ignore_flag': int(ignored)}
                for box, label, ignored in zip(objects.boxes, objects.labels, small)
            ]
            if isinstance(self._answers, InstanceStore):
                self._add_masks(instances, sample)
        level = 'full' if self._is_full(sample) else 'weak'
        return {**record, 'sample': sample, 'level': level, 'instances': instances}

    def _add_masks(self, instances: list[dict[str, Any]], sample: int) -> None:
        """What is known of the masks of a sample's objects (in place)."""
        assert isinstance(self._answers, InstanceStore)
        points, masks = self._answers.points(sample), self._answers.masks(sample)
        for instance, (where, labels), mask in zip(instances, points, masks):
            instance['points'], instance['point_labels'] = where.tolist(), labels.tolist()
            instance['has_mask'] = int(mask is not None)
            instance['mask'] = corners(instance['bbox']) if mask is None else mask.rle()

    def _is_full(self, sample: int) -> bool:
        return self._answers is not None and self._answers.holds(sample)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes of the objects of one sample, by which `ClassBalancedDataset` repeats it."""
        return [instance['bbox_label'] for instance in self.get_data_info(idx)['instances']]

    @property
    def full(self) -> list[bool]:
        """(N,) which of the samples shown have all their boxes."""
        return [self._is_full(s) for s in self._samples]

    def __getitem__(self, idx: int) -> Any:
        path = self._records[self._samples[idx]]['img_path']
        return through_pipeline(self.pipeline, lambda: self.get_data_info(idx), path, TRIES)


def corners(box: Sequence[float]) -> list[list[float]]:
    """A box x1 y1 x2 y2 as a COCO polygon."""
    x1, y1, x2, y2 = box
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]
