"""Nuclei in microscopy as binary segmentation: COCO image lists with maps of instances."""

import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS, TRANSFORMS


@TRANSFORMS.register_module()
class LoadAnnotationsFromInstances(LoadAnnotations):
    """Reads a map of instances, 0 = background, as a label map: class 1 wherever an instance is."""

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        instances = mmcv.imread(results['seg_map_path'], flag='unchanged', backend='cv2')
        if instances is None or instances.ndim != 2:
            raise ValueError(f'Expected one channel of instances in {results["seg_map_path"]}')
        results['gt_seg_map'] = (instances > 0).astype(np.uint8)
        results['seg_fields'].append('gt_seg_map')


@DATASETS.register_module()
class NucleiDataset(BaseSegDataset):
    """Images listed in a COCO file, with maps of instances of the same name.

    Use with `LoadAnnotationsFromInstances`. The Data Science Bowl 2018 in this form (BBBC038,
    Caicedo et al. 2019) is `images/`, `instance_png/` and `instances_<domain>_<split>.json`.
    """

    METAINFO = {'classes': ('background', 'nucleus'), 'palette': [[30, 30, 30], [240, 200, 60]]}

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict per image of the COCO file, in its order."""
        listed = json.loads(Path(self.ann_file).read_text(encoding='utf-8'))['images']
        folders = self.data_prefix
        return [
            {
                'img_path': str(Path(folders['img_path']) / image['file_name']),
                'seg_map_path': str(Path(folders['seg_map_path']) / image['file_name']),
                'label_map': None,
                'reduce_zero_label': False,
                'seg_fields': [],
            }
            for image in listed
        ]
