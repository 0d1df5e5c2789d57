"""Points of instances on disk, in the published layout of PointSup and APIS.

A COCO file without `segmentation`, whose annotations have `point_coords`, [[x, y], ...] whole
pixels of the original image, and `point_labels`, [1 foreground or 0 background, ...].
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class InstancePoints:
    """The answered points of one instance.

    Attributes:
        coords: (n, 2) int64 x, y; the pixel's centre is at x + 0.5, y + 0.5.
        labels: (n,) int64, 1 foreground, 0 background.

    Raises:
        ValueError: Other shapes, labels, or positions that are no whole pixels.
    """

    coords: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        given = np.asarray(self.coords, np.float64)
        coords, labels = given.reshape(-1, 2) if not given.size else given, np.asarray(self.labels)
        if coords.ndim != 2 or coords.shape[1] != 2 or labels.shape != (len(coords),):
            raise ValueError(
                'Expected points [[x, y], ...] and a label for each, '
                f'but got shapes {coords.shape} and {labels.shape}'
            )
        if not (coords == np.floor(coords)).all():
            raise ValueError(f'Expected points at whole pixels, but got {coords.tolist()}')
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError(f'Expected labels 0 or 1 of points, but got {labels.tolist()}')
        object.__setattr__(self, 'coords', coords.astype(np.int64))
        object.__setattr__(self, 'labels', labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)


def read_points(path: str | Path) -> dict[int, InstancePoints]:
    """Reads the points of a file.

    Args:
        path: A COCO file with `point_coords` and `point_labels`.

    Returns:
        Annotation id -> its points; annotations without points are left out.

    Raises:
        ValueError: No COCO file, an id that comes twice, or points that do not fit, named with
            file and annotation.
    """
    coco = _load(path)
    found = {}
    for number, annotation in _annotations(coco, str(path)).items():
        keys = [key for key in ('point_coords', 'point_labels') if key in annotation]
        if len(keys) == 1:
            raise ValueError(
                f'Expected `point_coords` with `point_labels` in annotation {number} of {path}, '
                f'but got `{keys[0]}` alone'
            )
        if keys:
            found[number] = _read_one(annotation, f'annotation {number} of {path}')
    points = {number: given for number, given in found.items() if len(given)}
    check_points(coco, points, str(path))
    return points


def write_points(
    path: str | Path, coco: Mapping[str, Any], points: Mapping[int, InstancePoints]
) -> None:
    """Writes the points of instances beside their boxes, and no masks.

    Args:
        path: The file; it is written whole or not at all.
        coco: A COCO data set as loaded from JSON; all but `segmentation` and earlier points is
            kept.
        points: Annotation id -> points; the others get none.

    Raises:
        ValueError: Points of an annotation that is not there, or outside of its box.
    """
    check_points(coco, points, 'the COCO data set')
    none = InstancePoints(np.zeros((0, 2)), np.zeros(0))
    annotations = []
    for annotation in coco['annotations']:
        kept = {key: value for key, value in annotation.items() if key != 'segmentation'}
        given = points.get(annotation['id'], none)
        kept['point_coords'] = given.coords.tolist()
        kept['point_labels'] = given.labels.tolist()
        annotations.append(kept)
    target = Path(path)
    temporary = target.with_name(f'{target.name}.tmp')
    with open(temporary, 'w', encoding='utf-8') as file:
        json.dump({**coco, 'annotations': annotations}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def check_points(
    coco: Mapping[str, Any], points: Mapping[int, InstancePoints], name: str = 'the data set'
) -> None:
    """Refuses points that are not of an annotation, or not in its box.

    A box covers all pixels that it touches within the image, at least one.

    Args:
        coco: A COCO data set as loaded from JSON.
        points: Annotation id -> points.
        name: Where the points come from, for messages.

    Raises:
        ValueError: Names the annotation.
    """
    annotations = _annotations(coco, name)
    unknown = sorted(set(points) - set(annotations))
    if unknown:
        near = sorted(annotations, key=lambda known: abs(known - unknown[0]))[:3]
        raise ValueError(
            f'Expected points of annotations in {name}, but got {len(unknown)} unknown ids, '
            f'{unknown[0]} first; the nearest ids are {near}'
        )
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    numbers = list(points)
    homeless = [n for n in numbers if annotations[n]['image_id'] not in sizes]
    if homeless:
        raise ValueError(
            f'Expected an image of annotation {homeless[0]} in {name}, '
            f'but got image_id {annotations[homeless[0]]["image_id"]} without'
        )
    counts = [len(points[n]) for n in numbers]
    if not sum(counts):
        return
    coords = np.concatenate([points[n].coords for n in numbers])
    row = np.repeat(np.arange(len(numbers)), counts)
    low, high = pixels_of_boxes(
        [annotations[n]['bbox'] for n in numbers],
        [sizes[annotations[n]['image_id']] for n in numbers],
    )
    outside = ((coords < low[row]) | (coords >= high[row])).any(axis=1)
    if outside.any():
        k = int(outside.argmax())
        number, at = numbers[row[k]], row[k]
        raise ValueError(
            f'Expected points of annotation {number} in {name} with x, y from {low[at].tolist()} '
            f'to {(high[at] - 1).tolist()}, as its box is {annotations[number]["bbox"]}, '
            f'but got {coords[k].tolist()}'
        )


def pixels_of_boxes(boxes: Any, sizes: Any) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that boxes touch within their images, at least one each.

    Args:
        boxes: (N, 4) x, y, width, height in pixels, as in COCO.
        sizes: (N, 2) width and height of the images.

    Returns:
        (N, 2) int64 first x, y and (N, 2) int64 x, y behind the last.

    >>> [end.tolist() for end in pixels_of_boxes([[1.5, 2, 2, 0]], [[10, 10]])]
    [[[1, 2]], [[4, 3]]]
    """
    given, limit = np.asarray(boxes, np.float64), np.asarray(sizes, np.int64)
    corner = given[:, :2]
    low = np.clip(np.floor(corner), 0, limit - 1)
    high = np.maximum(np.clip(np.ceil(corner + given[:, 2:]), 0, limit), low + 1)
    return low.astype(np.int64), high.astype(np.int64)


def _read_one(annotation: Mapping[str, Any], name: str) -> InstancePoints:
    try:
        return InstancePoints(annotation['point_coords'], annotation['point_labels'])
    except (ValueError, TypeError) as error:
        raise ValueError(f'{error} ({name})') from error


def _annotations(coco: Mapping[str, Any], name: str) -> dict[int, Mapping[str, Any]]:
    """Annotation id -> annotation."""
    found = {annotation['id']: annotation for annotation in coco['annotations']}
    if len(found) != len(coco['annotations']):
        counts = Counter(annotation['id'] for annotation in coco['annotations'])
        twice = counts.most_common(1)[0][0]
        raise ValueError(f'Expected unique annotation ids in {name}, but got {twice} twice')
    return found


def _load(path: str | Path) -> dict[str, Any]:
    try:
        coco = json.loads(Path(path).read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(
            f'Expected a COCO file in JSON, but could not read {path}: {error}'
        ) from error
    missing = [k for k in ('images', 'annotations') if not isinstance(coco, dict) or k not in coco]
    if missing:
        raise ValueError(f'Expected a COCO file with {missing}, but got none in {path}')
    return coco
