"""Tiny GTA5, SYNTHIA and Cityscapes in the layouts and with the ids of the real ones."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dense_al.sandbox import STREETS_CLASSES, StreetsSpec, render_scene

SPEC = StreetsSpec(seed=7, height=64, width=128, frames_per_sequence=1)
CITIES = {'train': ('aachen', 'bochum'), 'val': ('frankfurt',)}
# Ids by the classes' names, as the data sets' own pages list them.
CITYSCAPES_IDS = {
    'road': 7, 'sidewalk': 8, 'building': 11, 'wall': 12, 'fence': 13, 'pole': 17,
    'traffic light': 19, 'traffic sign': 20, 'vegetation': 21, 'terrain': 22, 'sky': 23,
    'person': 24, 'rider': 25, 'car': 26, 'truck': 27, 'bus': 28, 'train': 31, 'motorcycle': 32,
    'bicycle': 33,
}  # fmt: skip
SYNTHIA_IDS = {
    'sky': 1, 'building': 2, 'road': 3, 'sidewalk': 4, 'fence': 5, 'vegetation': 6, 'pole': 7,
    'car': 8, 'traffic sign': 9, 'person': 10, 'bicycle': 11, 'motorcycle': 12,
    'traffic light': 15, 'terrain': 16, 'rider': 17, 'truck': 18, 'bus': 19, 'train': 20,
    'wall': 21,
}  # fmt: skip
VOID = {'cityscapes': 1, 'synthia': 0}  # the ego vehicle; void


def write_gta5(folder, count=10):
    """`folder/gta5`: `images/00001.png`, `labels/00001.png` with a palette.

    Returns:
        The root, and the labels as indices into `STREETS_CLASSES`, by number.
    """
    root = Path(folder) / 'gta5'
    palette = np.random.default_rng(0).integers(0, 256, 3 * 256, dtype=np.uint8).tobytes()
    labels = []
    for i in range(count):
        image, label = render_scene(SPEC, 'source', i)
        name = f'{i + 1:05d}.png'
        _save(image, root / 'images' / name)
        ids = Image.fromarray(_ids(label, CITYSCAPES_IDS, VOID['cityscapes']))
        ids.putpalette(palette)
        _save(ids, root / 'labels' / name)
        labels.append(label)
    return root, labels


def write_synthia(folder, count=10):
    """`folder/synthia`: `RGB/0000000.png`, `GT/LABELS/0000000.png` of three channels of 16 bits.

    The first channel is the class, the second the object.
    """
    root = Path(folder) / 'synthia'
    labels = []
    for i in range(count):
        image, label = render_scene(SPEC, 'source', 50 + i)
        name = f'{i:07d}.png'
        _save(image, root / 'RGB' / name)
        ids = _ids(label, SYNTHIA_IDS, VOID['synthia']).astype(np.uint16)
        objects = np.where(label == STREETS_CLASSES.index('car'), 300 + i, 0).astype(np.uint16)
        path = root / 'GT' / 'LABELS' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.stack([np.zeros_like(ids), objects, ids], axis=-1))
        labels.append(label)
    return root, labels


def write_cityscapes(folder, train=8, val=4):
    """`folder/cityscapes`: `leftImg8bit` and `gtFine` with raw ids and with train ids.

    Returns:
        The root, and per split the labels as indices into `STREETS_CLASSES`, by file name.
    """
    from mmseg.datasets import CityscapesDataset

    names = CityscapesDataset.METAINFO['classes']
    train_ids = {name: i for i, name in enumerate(names)}
    root = Path(folder) / 'cityscapes'
    labels = {}
    for split, count in (('train', train), ('val', val)):
        by_name = {}
        for i in range(count):
            image, label = render_scene(SPEC, split, i)
            city = CITIES[split][i % len(CITIES[split])]
            stem = f'{city}/{city}_{i:06d}_000019'
            _save(image, root / 'leftImg8bit' / split / f'{stem}_leftImg8bit.png')
            fine = root / 'gtFine' / split
            raw = _ids(label, CITYSCAPES_IDS, VOID['cityscapes'])
            _save(raw, fine / f'{stem}_gtFine_labelIds.png')
            _save(_ids(label, train_ids, 255), fine / f'{stem}_gtFine_labelTrainIds.png')
            by_name[stem] = label
        labels[split] = [by_name[stem] for stem in sorted(by_name)]
    return root, labels


def train_ids(label, classes):
    """A label of streets as indices into `classes`, 255 elsewhere."""
    return _ids(label, {name: i for i, name in enumerate(classes)}, 255)


def _ids(label, ids, void):
    table = np.full(256, void, np.uint8)
    for i, name in enumerate(STREETS_CLASSES):
        table[i] = ids.get(name, void)
    return table[label]


def _save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path)
