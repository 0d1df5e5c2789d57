"""Tiny data sets in the place of those a stock config names: four images each, true labels."""

import inspect
import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
N_IMAGES, HEIGHT, WIDTH = 4, 96, 128
# Keys of transforms that say how large an image is, and what sides are multiples of.
SIDES = ('scale', 'scales', 'img_scale', 'crop_size', 'size', 'max_size', 'border', 'image_size')
STEP = 32
KEPT = ('pipeline', 'filter_cfg', 'test_mode')  # by another type of data set
GONE = ('data_root', 'ann_file', 'data_prefix', 'backend_args', 'proposal_file', 'label_map_file')
XML = 'VOCDataset'  # has its labels in XML files
YEAR = 'VOC2007'


class NoStandIn(ValueError):
    """A data set of a kind that no tiny one stands in for."""


def overrides(cfg: Any, root: Path, small: bool = False) -> dict[str, Any]:
    """What to lay over a stock config so that it reads tiny data sets.

    Args:
        cfg: The config; its scope's data sets are registered.
        root: Folder that data sets are written to; equal ones are written once.
        small: Whether pipelines also give smaller images.

    Returns:
        Data sets of the loaders it has (wrappers kept, `_delete_` set), and its evaluators.

    Raises:
        NoStandIn: A kind of data set that is not imitated.
    """
    changed: dict[str, Any] = {}
    names = [f'class {i}' for i in range(_n_classes(_plain(cfg.model)))]
    truth = None
    for name in LOADERS:
        loader = cfg.get(name)
        if not loader:
            continue
        dataset = replaced(_plain(loader['dataset']), root, count(), names)
        dataset = smaller(dataset) if small else dataset
        changed[name] = {'dataset': {'_delete_': True, **dataset}}
        first = next(_leaves(dataset))
        truth = _annotations(first) or truth
    for name in ('val_evaluator', 'test_evaluator'):
        if cfg.get(name):
            changed[name] = judged(_plain(cfg[name]), truth)
    given = cfg.model.get('data_preprocessor')
    if small and given:
        changed['model'] = {'data_preprocessor': smaller(_plain(given))}
    return changed


def smaller(node: Any, key: str = '') -> Any:
    """A copy of pipelines, or of a preprocessor, whose images are a quarter as wide and high."""
    if isinstance(node, dict):
        return {name: smaller(value, name) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(smaller(value, key) for value in node)
    number = isinstance(node, int) and not isinstance(node, bool)
    if key in SIDES and number and abs(node) >= 4 * STEP:
        return int(node / (4 * STEP)) * STEP
    return node


def replaced(
    node: dict[str, Any], root: Path, parts: Iterator[int], names: Sequence[str] = ()
) -> dict[str, Any]:
    """A data set's config, wrappers included, that reads tiny data sets.

    Args:
        node: The config.
        root: Folder that data sets are written to.
        parts: Numbers of the data sets that are joined, each with files of its own.
        names: Classes of a data set that only knows them from its files.
    """
    if 'dataset' in node:
        return {**node, 'dataset': replaced(node['dataset'], root, parts, names)}
    if 'datasets' in node:
        inner = [replaced(part, root, parts, names) for part in node['datasets']]
        return {**node, 'datasets': inner}
    root = root / f'part_{next(parts)}'
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry(None) as registry:
        cls = registry.get(str(node['type']))
    if cls is None:
        raise NoStandIn(f'no data set {node["type"]} in the package')
    parents = [parent.__name__ for parent in cls.__mro__]
    given = {k: v for k, v in node.items() if k not in GONE}
    own = _classes(node, cls)
    classes = own or list(names)
    if not classes:
        raise NoStandIn(f'classes of {cls.__name__}, which are in its files')
    if not own:
        kind = 'BaseSegDataset' if 'BaseSegDataset' in parents else 'CocoDataset'
        given = {k: given[k] for k in KEPT if k in given}
        given.update(type=kind, metainfo={'classes': classes})
    if 'BaseSegDataset' in parents:
        return {**given, **_segmentation(node, cls, classes, root)}
    if 'BaseCDDataset' in parents or not {'BaseDetDataset', 'CocoDataset'} & set(parents):
        raise NoStandIn(f'data of {cls.__name__}')
    if cls.__name__ == XML:
        return {**given, **_xml(classes, root)}
    prefix = {'img': 'images/'}
    if 'seg' in (node.get('data_prefix') or {}):
        prefix['seg'] = 'labels/'
    folder = root / _name('boxes', classes)
    if not folder.exists():
        write_coco(folder, classes)
    data = {'data_root': f'{folder}/', 'ann_file': 'objects.json', 'data_prefix': prefix}
    if not own or ('CocoDataset' in parents and 'LVISV05Dataset' not in parents):
        return {**given, **data}
    kept = {k: given[k] for k in KEPT if k in given}
    return {'type': 'CocoDataset', 'metainfo': {'classes': classes}, **kept, **data}


def write_coco(folder: Path, classes: Sequence[str]) -> None:
    """Images with two objects each, boxes and polygons, and label maps of everything."""
    images, objects = [], []
    (folder / 'labels').mkdir(parents=True)
    (folder / 'images').mkdir()
    for i in range(N_IMAGES):
        image, boxes, labels = _scene(i, len(classes))
        Image.fromarray(image).save(folder / 'images' / f'{i}.jpg')
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        Image.fromarray(label).save(folder / 'labels' / f'{i}.png')
        images.append({'id': i + 1, 'file_name': f'{i}.jpg', 'height': HEIGHT, 'width': WIDTH})
        for (x1, y1, x2, y2), category in zip(boxes, labels):
            w, h = x2 - x1, y2 - y1
            objects.append({
                'id': len(objects) + 1, 'image_id': i + 1, 'category_id': category + 1,
                'bbox': [x1, y1, w, h], 'area': w * h, 'iscrowd': 0,
                'segmentation': [[x1, y1, x2, y1, x2, y2, x1, y2]],
            })  # fmt: skip
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(classes)]
    content = {'images': images, 'annotations': objects, 'categories': categories}
    (folder / 'objects.json').write_text(json.dumps(content), encoding='utf-8')


def _xml(classes: Sequence[str], root: Path) -> dict[str, Any]:
    """A data set in VOC's layout."""
    folder = root / _name('xml', classes)
    base = folder / YEAR
    if not folder.exists():
        for name in ('JPEGImages', 'Annotations'):
            (base / name).mkdir(parents=True)
        for i in range(N_IMAGES):
            image, boxes, labels = _scene(i, len(classes))
            Image.fromarray(image).save(base / 'JPEGImages' / f'{i}.jpg')
            _write_xml(base / 'Annotations' / f'{i}.xml', boxes, [classes[c] for c in labels])
        (folder / 'list.txt').write_text('\n'.join(map(str, range(N_IMAGES))), encoding='utf-8')
    prefix = {'sub_data_root': f'{YEAR}/'}
    return {'data_root': f'{folder}/', 'ann_file': 'list.txt', 'data_prefix': prefix}


def _write_xml(path: Path, boxes: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    tree = ElementTree.Element('annotation')
    size = ElementTree.SubElement(tree, 'size')
    for key, value in (('width', WIDTH), ('height', HEIGHT), ('depth', 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for box, name in zip(boxes, names):
        node = ElementTree.SubElement(tree, 'object')
        ElementTree.SubElement(node, 'name').text = name
        ElementTree.SubElement(node, 'difficult').text = '0'
        corners = ElementTree.SubElement(node, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
            ElementTree.SubElement(corners, key).text = str(value + 1)
    ElementTree.ElementTree(tree).write(path)


def _segmentation(
    node: dict[str, Any], cls: type, classes: Sequence[str], root: Path
) -> dict[str, Any]:
    """Images and label maps in two folders, named as the data set's class expects."""

    def setting(name: str) -> Any:
        parameter = inspect.signature(cls).parameters.get(name)
        default = '' if parameter is None else parameter.default
        return node.get(name, default)

    suffix, label_suffix = setting('img_suffix') or '.jpg', setting('seg_map_suffix') or '.png'
    if not suffix.endswith(('.jpg', '.jpeg', '.png', '.tif', '.bmp')):
        raise NoStandIn(f'images in {suffix} files')
    shifted = bool(setting('reduce_zero_label'))
    kind = f'pixels{suffix}{label_suffix}{shifted}'
    folder = root / _name(kind.replace('/', '_'), classes)
    if not folder.exists():
        for name in ('images', 'labels'):
            (folder / name).mkdir(parents=True)
        for i in range(N_IMAGES):
            image, boxes, labels = _scene(i, len(classes))
            Image.fromarray(image).save(folder / 'images' / f'{i}{suffix}')
            label = np.zeros((HEIGHT, WIDTH), np.uint8)
            for (x1, y1, x2, y2), category in zip(boxes, labels):
                label[y1:y2, x1:x2] = category
            Image.fromarray(label + shifted).save(folder / 'labels' / f'{i}{label_suffix}')
        names = [f'{i}' for i in range(N_IMAGES)]
        (folder / 'list.txt').write_text('\n'.join(names), encoding='utf-8')
    prefix = {'img_path': 'images', 'seg_map_path': 'labels'}
    found: dict[str, Any] = {'data_root': f'{folder}/', 'data_prefix': prefix}
    if node.get('ann_file'):
        found['ann_file'] = 'list.txt'
    return found


def _scene(number: int, n_classes: int) -> tuple[np.ndarray, list[list[int]], list[int]]:
    """(H, W, 3) uint8 noise with two bright rectangles, their corners x1 y1 x2 y2 and classes."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    boxes = [[8 + number, 10, 52, 60 + number], [70, 30 + number, 118 - number, 88]]
    labels = [(2 * number + k) % min(n_classes, 255) for k in range(2)]
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = rng.integers(120, 255, 3, np.uint8)
    return image, boxes, labels


def _n_classes(model: Any) -> int:
    """How many classes a model tells apart, 0 where it does not say."""
    if isinstance(model, dict):
        if isinstance(model.get('num_classes'), int):
            return int(model['num_classes'])
        model = list(model.values())
    if isinstance(model, (list, tuple)):
        return next((n for n in map(_n_classes, model) if n), 0)
    return 0


def _classes(node: dict[str, Any], cls: Any) -> list[str]:
    """Names of a data set's classes, from the config or its type; none if they are in its files."""
    given = (node.get('metainfo') or {}).get('classes') or cls.METAINFO.get('classes')
    if given is None:
        return []
    return [given] if isinstance(given, str) else [str(name) for name in given]


def _name(kind: str, classes: Sequence[str]) -> str:
    """A folder's name, one for each kind and list of classes."""
    import hashlib

    return f'{kind}_{hashlib.sha256(repr(list(classes)).encode()).hexdigest()[:12]}'


def _leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The data sets inside wrappers."""
    if 'dataset' in node:
        yield from _leaves(node['dataset'])
    elif 'datasets' in node:
        for part in node['datasets']:
            yield from _leaves(part)
    else:
        yield node


def _annotations(dataset: dict[str, Any]) -> str | None:
    """Path of the file of all objects, where there is one."""
    given = dataset.get('ann_file', '')
    return f'{dataset["data_root"]}{given}' if str(given).endswith('.json') else None


def judged(node: Any, truth: str | None) -> Any:
    """Evaluators that read the tiny data set's file."""
    if isinstance(node, (list, tuple)):
        return [_told(part, truth) for part in node]
    return {'_delete_': True, **_told(node, truth)}


def _told(node: dict[str, Any], truth: str | None) -> dict[str, Any]:
    return {**node, 'ann_file': truth} if 'ann_file' in node and truth else dict(node)


def _plain(node: Any) -> Any:
    """A copy of a config's part in plain dicts and lists."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_plain(value) for value in node)
    return node
