"""Label files about objects: boxes with masks or points, and answers about single objects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.datasets.coco_masks import mask_of
from dense_al.oracles.json_files import read_boxes, read_json
from dense_al.structures import INSIDE, OUTSIDE, UNSURE, Inside, Instances, Label, Mask

# What people write for a point, and what it means.
ANSWERS = {'yes': INSIDE, 'no': OUTSIDE, None: UNSURE}


def read_objects(
    path: Path, size: tuple[int, int], classes: list[str], points: int | None
) -> Instances | None:
    """Reads all objects of an image.

    Args:
        path: JSON with `boxes` and `labels` as `read_boxes` reads them, and beside them `masks`, N
            run-length codes or lists of polygons as in COCO; or, where points are asked, `points`,
            N lists of as many [x, y, answer], answer being `yes`, `no` or null.
        size: (height, width) of the image.
        classes: Class names.
        points: Points asked of each object; None for masks.

    Raises:
        ValueError: Unreadable, lengths that differ, points outside of their box, no mask.
    """
    boxes = read_boxes(path, size, classes)
    if boxes is None:
        return None
    if points is None:
        given = read_json(path, ('masks',)) or {}
        _check_length(given['masks'], 'masks', len(boxes), path)
        masks = tuple(mask_of(mask, size, str(path)) for mask in given['masks'])
        return Instances.with_masks(boxes, masks)
    where = np.zeros((len(boxes), points, 2), np.int64)
    labels = np.zeros((len(boxes), points), np.int64)
    if points:
        given = read_json(path, ('points',)) or {}
        _check_length(given['points'], 'points', len(boxes), path)
        for i, row in enumerate(given['points']):
            _check_length(row, f'points[{i}]', points, path)
            for k, point in enumerate(row):
                where[i, k], labels[i, k] = _point(point, boxes.boxes[i], path)
    return Instances(boxes.boxes, boxes.labels, where, labels)


def read_object_answers(
    path: Path, asked: list[dict[str, Any]], size: tuple[int, int], kind: str
) -> list[Label | None]:
    """Reads what was said of single objects.

    Args:
        path: JSON with `answers`, one dict for each question of the image, in any order: `instance`
            and, of points, `x` and `y`, as they were asked; and `answer`: `yes`, `no` or null of a
            point, a mask as in COCO or null of an object.
        asked: The questions: `instance`, and `x`, `y` of points.
        size: (height, width) of the image.
        kind: `point` or `instance`.

    Returns:
        The answer to each question in turn, None where nobody can say.

    Raises:
        ValueError: Unreadable, an answer to nothing that was asked, none or two to something.
    """
    content = read_json(path, ('answers',)) or {'answers': [{**a, 'answer': None} for a in asked]}
    if not isinstance(content['answers'], list):
        raise ValueError(f'Expected a list of `answers` in {path}, but got {content["answers"]!r}')
    wanted = [_key(question) for question in asked]
    given: dict[tuple[Any, ...], Label | None] = {}
    read = _reader(kind, size, path)
    for answer in content['answers']:
        if not isinstance(answer, dict) or 'answer' not in answer:
            raise ValueError(f'Expected `answers` with `answer` in {path}, but got {answer!r}')
        key = _key(answer)
        if key not in wanted:
            raise ValueError(
                f'Expected answers to what was asked in {path} ({wanted[0]} ...), but got {key}'
            )
        if key in given:
            raise ValueError(f'Expected one answer to each question in {path}, but got two: {key}')
        given[key] = read(answer['answer'])
    missing = [key for key in wanted if key not in given]
    if missing:
        raise ValueError(
            f'Expected {len(wanted)} answers in {path}, but {len(missing)} are missing, '
            f'{missing[0]} first; give null where nobody can say'
        )
    return [given[key] for key in wanted]


def _reader(kind: str, size: tuple[int, int], path: Path) -> Callable[[Any], Label | None]:
    """Reads one answer."""

    def of_point(answer: Any) -> Inside | None:
        side = _side(answer, path)
        return None if side == UNSURE else Inside(side == INSIDE)

    def of_object(answer: Any) -> Mask | None:
        return None if answer is None else mask_of(answer, size, str(path))

    return of_point if kind == 'point' else of_object


def _key(answer: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(answer[name] for name in ('instance', 'x', 'y') if name in answer)


def _side(answer: Any, path: Path) -> int:
    if not isinstance(answer, (str, type(None))) or answer not in ANSWERS:
        raise ValueError(f"Expected 'yes', 'no' or null in {path}, but got {answer!r}")
    return ANSWERS[answer]


def _point(given: Any, box: np.ndarray, path: Path) -> tuple[list[int], int]:
    """Pixel and label of one [x, y, answer]: any pixel the box touches; `pixel_boxes` has fewer."""
    if not isinstance(given, list) or len(given) != 3:
        raise ValueError(f'Expected points [x, y, answer] in {path}, but got {given!r}')
    x, y = given[:2]
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (x, y))
    low, high = np.floor(box[:2]), np.ceil(box[2:])
    if (
        not whole
        or not (low[0] <= x < max(high[0], low[0] + 1))
        or not (low[1] <= y < max(high[1], low[1] + 1))
    ):
        raise ValueError(
            f'Expected whole pixels inside the box {box.tolist()} in {path}, but got {[x, y]}'
        )
    return [x, y], _side(given[2], path)


def _check_length(given: Any, name: str, n: int, path: Path) -> None:
    if not isinstance(given, list) or len(given) != n:
        got = len(given) if isinstance(given, list) else repr(given)
        raise ValueError(f'Expected `{name}` of length {n} in {path}, but got {got}')
