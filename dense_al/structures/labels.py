"""What a label is, whatever its form: pixels, boxes or tags."""

import numpy as np

from dense_al.structures.answers import IGNORE, decode_labels, dominant_class, encode_labels
from dense_al.structures.boxes import Boxes, decode_boxes, encode_boxes, holds_boxes
from dense_al.structures.tags import Tags, decode_tags, encode_tags, holds_tags

Label = np.ndarray | Boxes | Tags


def encode(label: Label) -> bytes:
    """The payload of (P,) uint8 labels of pixels, of boxes or of tags."""
    if isinstance(label, Tags):
        return encode_tags(label)
    return encode_boxes(label) if isinstance(label, Boxes) else encode_labels(label)


def class_counts(payload: bytes, n_classes: int) -> np.ndarray:
    """(C,) int64: pixels, objects or tags of each class; a declined unit (no payload) has none."""
    if not payload:
        return np.zeros(n_classes, np.int64)
    if holds_boxes(payload):
        return np.bincount(decode_boxes(payload).labels, minlength=n_classes)
    if holds_tags(payload):
        return np.bincount(decode_tags(payload).labels, minlength=n_classes)
    labels = decode_labels(payload)
    return np.bincount(labels[labels != IGNORE], minlength=n_classes)


def category_of(label: Label) -> int:
    """The most frequent class, lowest on ties; -1 for none, and for tags, which count nothing.

    >>> category_of(Boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [3, 1]))
    1
    """
    if isinstance(label, Tags):
        return -1
    if isinstance(label, Boxes):
        return int(np.bincount(label.labels).argmax()) if len(label) else -1
    return dominant_class(label)


def tags_of(label: Label) -> Tags:
    """The classes in a label.

    >>> tags_of(Boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [3, 1])).labels.tolist()
    [1, 3]
    """
    if isinstance(label, Tags):
        return label
    return Tags(label.labels if isinstance(label, Boxes) else label[label != IGNORE])
