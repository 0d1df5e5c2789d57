"""What a label is, whatever its form: pixels, boxes, tags, a mask, or one point of an object."""

import numpy as np

from dense_al.structures.answers import IGNORE, decode_labels, encode_labels, most_frequent_class
from dense_al.structures.boxes import Boxes, decode_boxes, encode_boxes, holds_boxes
from dense_al.structures.masks import (
    Inside,
    Mask,
    encode_inside,
    encode_mask,
    holds_inside,
    holds_mask,
)
from dense_al.structures.tags import Tags, decode_tags, encode_tags, holds_tags

Label = np.ndarray | Boxes | Tags | Mask | Inside


def encode(label: Label) -> bytes:
    """The payload of a label; (P,) uint8 labels are of pixels."""
    if isinstance(label, Boxes):
        return encode_boxes(label)
    if isinstance(label, Tags):
        return encode_tags(label)
    if isinstance(label, Mask):
        return encode_mask(label)
    return encode_inside(label) if isinstance(label, Inside) else encode_labels(label)


def class_counts(payload: bytes, n_classes: int) -> np.ndarray:
    """(C,) int64: pixels, objects or tags of each class.

    A declined unit (no payload) has none, and what is said of the mask of an object names no class.
    """
    if not payload or holds_mask(payload) or holds_inside(payload):
        return np.zeros(n_classes, np.int64)
    if holds_boxes(payload):
        return np.bincount(decode_boxes(payload).labels, minlength=n_classes)
    if holds_tags(payload):
        return np.bincount(decode_tags(payload).labels, minlength=n_classes)
    labels = decode_labels(payload)
    return np.bincount(labels[labels != IGNORE], minlength=n_classes)


def category_of(label: Label) -> int:
    """The most frequent class, lowest on ties; -1 for none, and where no class is counted.

    >>> category_of(Boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [3, 1]))
    1
    """
    if isinstance(label, (Tags, Mask, Inside)):
        return -1
    if isinstance(label, Boxes):
        return int(np.bincount(label.labels).argmax()) if len(label) else -1
    return most_frequent_class(label)


def tags_of(label: Label) -> Tags:
    """The classes in the label of a whole sample.

    >>> tags_of(Boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [3, 1])).labels.tolist()
    [1, 3]

    Raises:
        ValueError: A label of one object.
    """
    if isinstance(label, Tags):
        return label
    if isinstance(label, (Mask, Inside)):
        raise ValueError('Expected the label of a whole sample, but got that of one object')
    return Tags(label.labels if isinstance(label, Boxes) else label[label != IGNORE])
