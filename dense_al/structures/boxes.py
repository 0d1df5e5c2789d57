"""Objects of one image as boxes, perhaps with points or masks, and their payloads."""

import json
import zlib
from dataclasses import dataclass

import numpy as np

from dense_al.structures.masks import Mask

# The first byte tells payloads of boxes from others.
MARK, MARK_INSTANCES = b'B', b'O'
INSIDE, OUTSIDE, UNSURE = 1, 0, -1  # what a point says of an object


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects of one image.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels of the original image.
        labels: (N,) int64 classes.

    Raises:
        ValueError: Other shapes, or a box that ends before it begins.
    """

    boxes: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        labels = np.asarray(self.labels, np.int64).reshape(-1)
        if len(boxes) != len(labels):
            raise ValueError(f'Expected a label per box, but got {len(boxes)} and {len(labels)}')
        wrong = ~(np.isfinite(boxes).all(1) & (boxes[:, 2:] >= boxes[:, :2]).all(1))
        if wrong.any():
            raise ValueError(f'Expected boxes x1 y1 x2 y2, but got {boxes[wrong][0].tolist()}')
        object.__setattr__(self, 'boxes', boxes)
        object.__setattr__(self, 'labels', labels)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Instances(Boxes):
    """The objects of one image with what is known of their masks.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels of the original image.
        labels: (N,) int64 classes.
        points: (N, P, 2) int64 x, y, whole pixels of the original image; P may be 0.
        point_labels: (N, P) int64, 1 on the object, 0 beside it, -1 nobody can say.
        masks: The whole mask of each object; None where only points are known.

    Raises:
        ValueError: Shapes or labels that do not fit.
    """

    points: np.ndarray
    point_labels: np.ndarray
    masks: tuple[Mask, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n = len(self)
        points = np.asarray(self.points, np.int64)
        labels = np.asarray(self.point_labels, np.int64)
        if points.shape != (*labels.shape, 2) or labels.ndim != 2 or len(labels) != n:
            raise ValueError(
                f'Expected points (N, P, 2) and labels (N, P) of {n} objects, '
                f'but got {points.shape} and {labels.shape}'
            )
        if not np.isin(labels, (INSIDE, OUTSIDE, UNSURE)).all():
            raise ValueError(f'Expected labels 1, 0 or -1 of points, but got {np.unique(labels)}')
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f'Expected a mask for each of {n} objects, but got {len(self.masks)}')
        object.__setattr__(self, 'points', points)
        object.__setattr__(self, 'point_labels', labels)

    @classmethod
    def with_masks(cls, boxes: Boxes, masks: 'tuple[Mask, ...]') -> 'Instances':
        """Objects whose masks are known, and no points."""
        n = len(boxes)
        none = np.zeros((n, 0), np.int64)
        return cls(boxes.boxes, boxes.labels, np.zeros((n, 0, 2), np.int64), none, masks)


def encode_boxes(boxes: Boxes) -> bytes:
    """Packs boxes: the mark, then compressed little-endian float32 boxes and int32 labels.

    Those of `Instances` are compressed JSON behind another mark.

    >>> found = decode_boxes(encode_boxes(Boxes([[1, 2, 3, 4]], [5])))
    >>> found.boxes.tolist(), found.labels.tolist()
    ([[1.0, 2.0, 3.0, 4.0]], [5])
    """
    if isinstance(boxes, Instances):
        content = {
            'boxes': boxes.boxes.tolist(),
            'labels': boxes.labels.tolist(),
            'points': boxes.points.tolist(),
            'n_points': boxes.point_labels.shape[1],
            'point_labels': boxes.point_labels.tolist(),
            'masks': None if boxes.masks is None else [m.rle() for m in boxes.masks],
        }
        return MARK_INSTANCES + zlib.compress(json.dumps(content).encode(), 6)
    parts = boxes.boxes.astype('<f4').tobytes() + boxes.labels.astype('<i4').tobytes()
    return MARK + zlib.compress(parts, 6)


def decode_boxes(payload: bytes) -> Boxes:
    """Unpacks what `encode_boxes` packed: `Boxes`, or `Instances` where it was one.

    Raises:
        ValueError: A payload of something else.
    """
    if not holds_boxes(payload):
        raise ValueError('Expected a payload of boxes, but got another one')
    if payload[:1] == MARK_INSTANCES:
        return _instances(json.loads(zlib.decompress(payload[1:])))
    content = zlib.decompress(payload[1:])
    n = len(content) // 20
    return Boxes(
        np.frombuffer(content, '<f4', 4 * n).reshape(n, 4),
        np.frombuffer(content, '<i4', n, 16 * n),
    )


def _instances(content: dict) -> Instances:
    n, points = len(content['labels']), content['n_points']
    masks = content['masks']
    return Instances(
        np.array(content['boxes'], np.float32),
        np.array(content['labels'], np.int64),
        np.array(content['points'], np.int64).reshape(n, points, 2),
        np.array(content['point_labels'], np.int64).reshape(n, points),
        None if masks is None else tuple(Mask.of_rle(rle) for rle in masks),
    )


def holds_boxes(payload: bytes) -> bool:
    """Whether a payload holds objects with boxes (and not labels of pixels)."""
    return payload[:1] in (MARK, MARK_INSTANCES)
