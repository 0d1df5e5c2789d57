"""Objects of one image as boxes, and their payload."""

import zlib
from dataclasses import dataclass

import numpy as np

MARK = b'B'  # the first byte tells a payload of boxes from one of pixels


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


def encode_boxes(boxes: Boxes) -> bytes:
    """Packs boxes: the mark, then compressed little-endian float32 boxes and int32 labels.

    >>> found = decode_boxes(encode_boxes(Boxes([[1, 2, 3, 4]], [5])))
    >>> found.boxes.tolist(), found.labels.tolist()
    ([[1.0, 2.0, 3.0, 4.0]], [5])
    """
    parts = boxes.boxes.astype('<f4').tobytes() + boxes.labels.astype('<i4').tobytes()
    return MARK + zlib.compress(parts, 6)


def decode_boxes(payload: bytes) -> Boxes:
    """Unpacks what `encode_boxes` packed.

    Raises:
        ValueError: A payload of something else.
    """
    if not holds_boxes(payload):
        raise ValueError('Expected a payload of boxes, but got another one')
    content = zlib.decompress(payload[1:])
    n = len(content) // 20
    return Boxes(
        np.frombuffer(content, '<f4', 4 * n).reshape(n, 4),
        np.frombuffer(content, '<i4', n, 16 * n),
    )


def holds_boxes(payload: bytes) -> bool:
    """Whether a payload holds boxes (and not labels of pixels)."""
    return payload[:1] == MARK
