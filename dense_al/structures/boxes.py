"""Objects of one image as boxes, perhaps with points or masks, and their payloads."""

import json
import zlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dense_al.structures.label import Label, counts_of, other_classes
from dense_al.structures.masks import Mask

INSIDE, OUTSIDE, UNSURE = 1, 0, -1  # what a point says of an object


@dataclass(frozen=True, eq=False)
class Boxes(Label):
    """The objects of one image.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels of the original image.
        labels: (N,) int64 classes.

    Raises:
        ValueError: Other shapes, or a box that ends before it begins.
    """

    mark, what, counted = b'B', 'boxes', True

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

    @classmethod
    def is_in(cls, payload: bytes) -> bool:
        """Whether a payload has this form; objects with masks or points are boxes, too."""
        return payload[:1] in (cls.mark, Instances.mark)

    def encode(self) -> bytes:
        """The mark, then compressed little-endian float32 boxes and int32 labels.

        >>> found = Boxes.decode(Boxes([[1, 2, 3, 4]], [5]).encode())
        >>> found.boxes.tolist(), found.labels.tolist()
        ([[1.0, 2.0, 3.0, 4.0]], [5])
        """
        content = self.boxes.astype('<f4').tobytes() + self.labels.astype('<i4').tobytes()
        return self.mark + zlib.compress(content, 6)

    @classmethod
    def _decoded(cls, payload: bytes) -> 'Boxes':
        if Instances.is_in(payload):
            return Instances.decode(payload)
        content = zlib.decompress(payload[1:])
        n = len(content) // 20
        return Boxes(
            np.frombuffer(content, '<f4', 4 * n).reshape(n, 4),
            np.frombuffer(content, '<i4', n, 16 * n),
        )

    @property
    def category(self) -> int:
        return int(np.bincount(self.labels).argmax()) if len(self) else -1

    @property
    def drawn(self) -> int:
        return len(self)

    @property
    def leaves_masks(self) -> bool:
        """Whether the masks of its objects are left to be asked."""
        return True

    def class_counts(self, n_classes: int) -> np.ndarray:
        return counts_of(self.labels, n_classes)

    def classes(self) -> np.ndarray:
        return np.unique(self.labels)

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Boxes':
        """The class of each object may be another one."""
        return replace(self, labels=other_classes(self.labels, noise, n_classes, rng))


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

    mark, what = b'O', 'objects with masks or points'

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

    @classmethod
    def is_in(cls, payload: bytes) -> bool:
        return payload[:1] == cls.mark

    def encode(self) -> bytes:
        """The mark, then compressed JSON."""
        content = {
            'boxes': self.boxes.tolist(),
            'labels': self.labels.tolist(),
            'points': self.points.tolist(),
            'n_points': self.point_labels.shape[1],
            'point_labels': self.point_labels.tolist(),
            'masks': None if self.masks is None else [m.rle() for m in self.masks],
        }
        return self.mark + zlib.compress(json.dumps(content).encode(), 6)

    @classmethod
    def _decoded(cls, payload: bytes) -> Self:
        content = json.loads(zlib.decompress(payload[1:]))
        n, points = len(content['labels']), content['n_points']
        masks = content['masks']
        return cls(
            np.array(content['boxes'], np.float32),
            np.array(content['labels'], np.int64),
            np.array(content['points'], np.int64).reshape(n, points, 2),
            np.array(content['point_labels'], np.int64).reshape(n, points),
            None if masks is None else tuple(Mask.of_rle(rle) for rle in masks),
        )

    @property
    def n_points(self) -> int:
        return self.point_labels.size

    @property
    def leaves_masks(self) -> bool:
        return self.masks is None

    def elements(self, size: int) -> int:
        """All pixels, or where masks are not known the points alone."""
        return size if self.masks is not None else self.n_points

    def mistaken(self, noise: float, n_classes: int, rng: np.random.Generator) -> 'Instances':
        """Classes of objects may be others, points may be said to be on the other side."""
        labels = other_classes(self.labels, noise, n_classes, rng)
        said = self.point_labels
        wrong = (rng.random(said.shape) < noise) & (said != UNSURE)
        return replace(
            self, labels=labels, point_labels=np.where(wrong, INSIDE + OUTSIDE - said, said)
        )
