"""Label files in JSON: boxes and tags of whole images."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.registry import nearest
from dense_al.structures import Boxes, Tags


def read_boxes(path: Path, size: tuple[int, int], classes: list[str]) -> Boxes | None:
    """Reads a label file of boxes.

    Args:
        path: JSON with `boxes` (N lists x1 y1 x2 y2 in pixels) and `labels` (N class names), or
            null for an image that was declined.
        size: (height, width) of the image.
        classes: Class names.

    Raises:
        ValueError: Unreadable, an unknown class, a box outside the image.
    """
    content = read_json(path, ('boxes', 'labels'))
    if content is None:
        return None
    try:
        boxes = np.array(content['boxes'], np.float32).reshape(-1, 4)
        names = [str(name) for name in content['labels']]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'Expected {path} to be JSON with `boxes` of four numbers each, but got: {error}'
        ) from error
    labels = _classes(names, path, classes)
    limit = np.array([size[1], size[0], size[1], size[0]])
    if ((boxes < 0) | (boxes > limit)).any():
        raise ValueError(f'Expected boxes inside {size[1]} x {size[0]} pixels in {path}')
    try:
        return Boxes(boxes, labels)
    except ValueError as error:
        raise ValueError(f'In {path}: {error}') from error


def read_tags(path: Path, classes: list[str]) -> Tags | None:
    """Reads a label file of tags.

    Args:
        path: JSON with `tags` (class names), or null for an image that was declined.
        classes: Class names.

    Raises:
        ValueError: Unreadable, an unknown class.
    """
    content = read_json(path, ('tags',))
    if content is None:
        return None
    if not isinstance(content['tags'], list):
        raise ValueError(f'Expected a list of `tags` in {path}, but got {content["tags"]!r}')
    return Tags(_classes([str(name) for name in content['tags']], path, classes))


def read_json(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """The content of a label file in JSON with some keys, or None for null.

    Raises:
        ValueError: Unreadable, or a key is missing.
    """
    wanted = ' and '.join(f'`{key}`' for key in keys)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'Expected {path} to be JSON with {wanted}, but got: {error}') from error
    if content is not None and not (isinstance(content, dict) and set(keys) <= set(content)):
        raise ValueError(f'Expected {path} to be JSON with {wanted}, but got: {str(content)[:80]}')
    return content


def _classes(names: list[str], path: Path, classes: list[str]) -> np.ndarray:
    """(N,) int64 classes by name."""
    for name in names:
        if name not in classes:
            raise ValueError(f'Unknown class {name!r} in {path}. {nearest(name, classes)}')
    return np.array([classes.index(name) for name in names], np.int64)
