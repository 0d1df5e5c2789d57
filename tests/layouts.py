"""Tiny data sets in the layouts of VOC 2007 and COCO 2014, with proposals as wetectron has them."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from dense_al.proposals import ProposalSpec, propose_boxes
from dense_al.sandbox import GlyphsSpec, render_glyphs

SPEC = GlyphsSpec(seed=5, mean_count=3.0)
PROPOSALS = ProposalSpec(max_boxes=40)
# The 80 categories of COCO have these numbers.
GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple(i for i in range(1, 91) if i not in GAPS)
VOC_SETS = {'train': (5, 12, 26), 'val': (7, 9963), 'test': (1, 4, 8)}
COCO_SETS = {'train2014': (9, 25, 581921), 'val2014': (42, 73, 164)}


class Layout(NamedTuple):
    """Where a data set lies.

    Attributes:
        root: Such as `VOCdevkit/VOC2007` or `coco`.
        pickles: Set -> proposals in wetectron's layout.
        scenes: Set -> scene of each image, in the order of the set.
    """

    root: Path
    pickles: dict
    scenes: dict


def write_voc(folder):
    """`folder/VOCdevkit/VOC2007`: `train`, `val`, `trainval` and `test`.

    The last object of each image is difficult. Proposals come in two files for `trainval`, as
    published ones do, and end with each object's own box.
    """
    root = Path(folder) / 'VOCdevkit' / 'VOC2007'
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (root / name).mkdir(parents=True)
    scenes = _scenes(VOC_SETS)
    for split, numbers in VOC_SETS.items():
        for number, scene in zip(numbers, scenes[split]):
            name = f'{number:06d}'
            Image.fromarray(scene.image).save(root / 'JPEGImages' / f'{name}.jpg', quality=95)
            _voc_annotation(scene).write(root / 'Annotations' / f'{name}.xml')
    both = sorted(VOC_SETS['train'] + VOC_SETS['val'])
    for split, numbers in {**VOC_SETS, 'trainval': both}.items():
        lines = ''.join(f'{number:06d}\n' for number in numbers)
        (root / 'ImageSets' / 'Main' / f'{split}.txt').write_text(lines)
    by_number = {n: s for k, v in VOC_SETS.items() for n, s in zip(v, scenes[k])}
    scenes['trainval'] = [by_number[n] for n in both]
    pickles = {
        split: _pickle(root.parent / f'SS-voc_2007_{split}-boxes.pkl', numbers, scenes[split])
        for split, numbers in VOC_SETS.items()
    }
    return Layout(root, pickles, scenes)


def write_coco(folder):
    """`folder/coco`: `train2014` and `val2014`.

    The last object of the first image of each set is a crowd, the last image has no object. The
    files of proposals have the key `ids` and scores.
    """
    root = Path(folder) / 'coco'
    (root / 'annotations').mkdir(parents=True, exist_ok=True)
    scenes, pickles = _scenes(COCO_SETS), {}
    for found in scenes.values():
        found[-1] = render_glyphs(replace(SPEC, mean_count=0.0), 'train', 0)
    for split, numbers in COCO_SETS.items():
        (root / split).mkdir()
        images, annotations = [], []
        for number, scene in zip(numbers, scenes[split]):
            name = f'COCO_{split}_{number:012d}.jpg'
            Image.fromarray(scene.image).save(root / split / name, quality=95)
            height, width = scene.image.shape[:2]
            images.append(dict(id=number, file_name=name, height=height, width=width))
            for i, entry in enumerate(_coco_objects(scene)):
                crowd = number == numbers[0] and i == len(scene.labels) - 1
                entry = _crowd(entry, scene.masks[i]) if crowd else entry
                annotations.append(dict(id=len(annotations) + 1, image_id=number, **entry))
        content = dict(images=images, annotations=annotations, categories=_coco_categories())
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))
        path = root / f'MCG-coco_2014_{split[:-4]}-boxes.pkl'
        pickles[split] = _pickle(path, numbers, scenes[split], 'ids', rated=True)
    return Layout(root, pickles, scenes)


def voc_label(label):
    """Index of the VOC class that stands for a glyph; all of the 20 occur but every other one."""
    return 2 * int(label) + 1


def coco_label(label):
    """Index of the COCO class that stands for a glyph."""
    return 8 * int(label) + 7


def _scenes(sets):
    """Scenes with at least two objects."""
    found, index = {}, 0
    for split, numbers in sets.items():
        found[split] = []
        while len(found[split]) < len(numbers):
            scene = render_glyphs(SPEC, 'train', index)
            index += 1
            if len(scene.labels) >= 2:
                found[split].append(scene)
    return found


def _voc_annotation(scene):
    from mmdet.datasets import VOCDataset

    root = ElementTree.Element('annotation')
    size = ElementTree.SubElement(root, 'size')
    for name, value in zip(('height', 'width', 'depth'), scene.image.shape):
        ElementTree.SubElement(size, name).text = str(value)
    for i, (box, label) in enumerate(zip(scene.boxes, scene.labels)):
        entry = ElementTree.SubElement(root, 'object')
        name = VOCDataset.METAINFO['classes'][voc_label(label)]
        ElementTree.SubElement(entry, 'name').text = name
        ElementTree.SubElement(entry, 'difficult').text = str(int(i == len(scene.labels) - 1))
        corners = ElementTree.SubElement(entry, 'bndbox')
        # VOC counts pixels from 1 and includes the last one.
        values = (box[0] + 1, box[1] + 1, box[2], box[3])
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), values):
            ElementTree.SubElement(corners, key).text = str(int(value))
    return ElementTree.ElementTree(root)


def _coco_objects(scene):
    for box, label in zip(scene.boxes, scene.labels):
        x1, y1, x2, y2 = (float(v) for v in box)
        yield dict(
            category_id=COCO_IDS[coco_label(label)],
            bbox=[x1, y1, x2 - x1, y2 - y1],
            area=(x2 - x1) * (y2 - y1),
            iscrowd=0,
            segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]],
        )


def _crowd(entry, mask):
    """The entry as COCO writes crowds: lengths of runs, by columns, the first one of zeros."""
    flat = np.concatenate([[0], mask.ravel(order='F'), [0]]).astype(int)
    turns = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], turns, [mask.size]])).tolist()
    size = list(mask.shape)
    return {**entry, 'iscrowd': 1, 'segmentation': dict(size=size, counts=runs)}


def _coco_categories():
    from mmdet.datasets import CocoDataset

    names = CocoDataset.METAINFO['classes']
    return [dict(id=i, name=name) for i, name in zip(COCO_IDS, names)]


def _pickle(path, numbers, scenes, key='indexes', rated=False):
    """Proposals of pixels counted from 0, the last one included; protocol 2."""
    boxes = []
    for scene in scenes:
        found = np.concatenate([propose_boxes(scene.image, PROPOSALS), scene.boxes])
        boxes.append((found - [0, 0, 1, 1]).astype(np.float32))
    content = {key: list(numbers), 'boxes': boxes}
    if rated:
        content['scores'] = [np.linspace(0, 1, len(b), dtype=np.float32) for b in boxes]
    path.write_bytes(pickle.dumps(content, 2))
    return path
