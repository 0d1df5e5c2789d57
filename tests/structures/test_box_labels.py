"""Boxes and their payload, next to that of pixels."""

import numpy as np
import pytest

from dense_al.structures import (
    Boxes,
    category_of,
    class_counts,
    decode_boxes,
    encode,
    holds_boxes,
)


def test_payloads_of_boxes_and_pixels_are_told_apart():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 100, (7, 2, 2)), axis=1).reshape(7, 4)
    boxes = Boxes(corners, rng.integers(0, 5, 7))
    payload = encode(boxes)
    found = decode_boxes(payload)
    assert found.boxes.tobytes() == corners.astype(np.float32).tobytes()
    assert found.labels.tolist() == boxes.labels.tolist()
    pixels = encode(np.array([1, 1, 255, 2], np.uint8))
    assert holds_boxes(payload) and not holds_boxes(pixels) and not holds_boxes(b'')
    assert class_counts(pixels, 4).tolist() == [0, 2, 1, 0]
    assert class_counts(payload, 5).tolist() == np.bincount(boxes.labels, minlength=5).tolist()
    assert class_counts(b'', 3).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match='payload of boxes'):
        decode_boxes(pixels)


def test_no_object_is_an_answer_too():
    empty = Boxes([], [])
    assert len(decode_boxes(encode(empty))) == 0 and category_of(empty) == -1
    assert class_counts(encode(empty), 2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ('boxes', 'labels', 'message'),
    [
        ([[0, 0, 1, 1]], [], 'a label per box'),
        ([[5, 0, 1, 1]], [0], 'x1 y1 x2 y2'),
        ([[0, 0, np.nan, 1]], [0], 'x1 y1 x2 y2'),
    ],
)
def test_wrong_boxes_are_named(boxes, labels, message):
    with pytest.raises(ValueError, match=message):
        Boxes(boxes, labels)
