"""Synthetic street scenes with the classes of Cityscapes: GTA5 and SYNTHIA.

GTA5: Richter et al., Playing for Data, ECCV 2016. SYNTHIA: Ros et al., CVPR 2016. Cityscapes:
Cordts et al., CVPR 2016; its classes are the 19 train ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS, TRANSFORMS

from dense_al.structures import IGNORE

CITYSCAPES_CLASSES: tuple[str, ...] = CityscapesDataset.METAINFO['classes']
# What SYNTHIA has of them, and what is left where thin and rare structures are not evaluated.
SYNTHIA_16 = tuple(c for c in CITYSCAPES_CLASSES if c not in ('terrain', 'truck', 'train'))
SYNTHIA_13 = tuple(c for c in SYNTHIA_16 if c not in ('wall', 'fence', 'pole'))
# Images of GTA5 that published lists of 24,904 leave out.
GTA5_LEFT_OUT = (15188, 17705, *range(20801, 20861))


@dataclass(frozen=True)
class IdTable:
    """How label files name the classes of Cityscapes.

    Attributes:
        train_ids: Id in the file -> train id; all other ids stand for no class.
        last: Largest id.
        backend: What decodes the files.
        channels: Whether a file has several channels, the ids in the first of them.
    """

    train_ids: dict[int, int]
    last: int
    backend: str
    channels: bool = False

    @property
    def lookup(self) -> np.ndarray:
        """(last + 1,) uint8 train id of each id, 255 for no class."""
        table = np.full(self.last + 1, IGNORE, np.uint8)
        table[list(self.train_ids)] = list(self.train_ids.values())
        return table


def _by_class(ids: str) -> dict[int, int]:
    """Ids, given in the order of the train ids, -> train id."""
    return {int(raw): train for train, raw in enumerate(ids.split())}


ID_TABLES = {
    # GTA5's files have the ids of Cityscapes, and 34 for license plates; Pillow gives the palette's
    # indices, OpenCV its colours.
    'cityscapes': IdTable(
        _by_class('7 8 11 12 13 17 19 20 21 22 23 24 25 26 27 28 31 32 33'), 34, 'pillow'
    ),
    # 16 bits per channel, of which Pillow drops the half with the ids.
    'synthia': IdTable(
        _by_class('3 4 2 21 5 7 15 9 6 16 1 10 17 8 18 19 20 12 11'), 22, 'cv2', channels=True
    ),
}


@TRANSFORMS.register_module()
class LoadAnnotationsFromIds(LoadAnnotations):
    """Reads a file of raw ids as a label map of Cityscapes' 19 classes, or the data set's part.

    Args:
        ids: Which ids they are: `cityscapes` (files `*_gtFine_labelIds.png`, and GTA5) or `synthia`
            (its class is the first of three channels).
        backend_args: Of mmengine's file reader.

    Raises:
        ValueError: Unknown ids; in use: an id out of range, another size than the image's.
    """

    def __init__(self, ids: str, backend_args: dict[str, Any] | None = None) -> None:
        if ids not in ID_TABLES:
            raise ValueError(f'Expected `ids` to be one of {tuple(ID_TABLES)}, but got {ids!r}')
        self._table = ID_TABLES[ids]
        self._lookup = self._table.lookup
        super().__init__(backend_args=backend_args, imdecode_backend=self._table.backend)

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        path = results['seg_map_path']
        content = fileio.get(path, backend_args=self.backend_args)
        raw = mmcv.imfrombytes(content, flag='unchanged', backend=self.imdecode_backend)
        if raw is None or (raw.ndim != 2 and not self._table.channels):
            raise ValueError(f'Expected one channel of ids in {path}')
        raw = raw[..., -1] if raw.ndim == 3 else raw  # OpenCV gives the last channel first
        if raw.max() >= len(self._lookup):
            raise ValueError(
                f'Expected ids 0 to {len(self._lookup) - 1} in {path}, but got {raw.max()}; train '
                'ids are read by `LoadAnnotations`'
            )
        image = results.get('img')
        if image is not None and image.shape[:2] != raw.shape:
            raise ValueError(
                f'Expected the label {path} of size {image.shape[:2]} (height, width) like its '
                f'image, but got {raw.shape}'
            )
        results['gt_seg_map'] = self._of_dataset(results.get('label_map'))[raw]
        results['seg_fields'].append('gt_seg_map')

    def _of_dataset(self, label_map: dict[int, int] | None) -> np.ndarray:
        """The lookup for a data set that has only a part of the classes."""
        if label_map is None:
            return self._lookup
        chosen = np.full(IGNORE + 1, IGNORE, np.uint8)
        chosen[list(label_map)] = list(label_map.values())
        return chosen[self._lookup]


@DATASETS.register_module()
class GTA5Dataset(BaseSegDataset):
    """GTA5: `images/00001.png` to `24966.png`, `labels/00001.png` with the ids of Cityscapes.

    Use with `LoadAnnotationsFromIds(ids='cityscapes')`. `metainfo=dict(classes=...)` takes a part
    of the 19 classes.

    Args:
        left_out: Numbers of images to leave out, without an `ann_file` too.
        **kwargs: Of mmseg's data sets.
    """

    METAINFO = CityscapesDataset.METAINFO

    def __init__(
        self,
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        data_prefix: dict[str, str] | None = None,
        left_out: Sequence[int] = GTA5_LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        self._left_out = {f'{number:05d}' for number in left_out}
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_prefix=data_prefix or {'img_path': 'images', 'seg_map_path': 'labels'},
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """One dict per image, by number."""
        listed = super().load_data_list()
        return [info for info in listed if Path(info['img_path']).stem not in self._left_out]


@DATASETS.register_module()
class SynthiaDataset(BaseSegDataset):
    """SYNTHIA-RAND-CITYSCAPES: `RGB/0000000.png` to `0009399.png`, `GT/LABELS/0000000.png`.

    Use with `LoadAnnotationsFromIds(ids='synthia')`. Three of the 19 classes do not occur in it:
    give `metainfo=dict(classes=SYNTHIA_16)`, or `SYNTHIA_13`, to this set and to the target's.
    """

    METAINFO = CityscapesDataset.METAINFO

    def __init__(
        self,
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        data_prefix: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_prefix=data_prefix or {'img_path': 'RGB', 'seg_map_path': 'GT/LABELS'},
            **kwargs,
        )
