"""Boxes and their payload, next to that of pixels."""

import numpy as np
import pytest

from dense_al.structures import Boxes, Pixels, decode


def test_payloads_of_boxes_and_pixels_are_told_apart():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 100, (7, 2, 2)), axis=1).reshape(7, 4)
    boxes = Boxes(corners, rng.integers(0, 5, 7))
    payload = boxes.encode()
    found = Boxes.decode(payload)
    assert found.boxes.tobytes() == corners.astype(np.float32).tobytes()
    assert found.labels.tolist() == boxes.labels.tolist()
    pixels = Pixels(np.array([1, 1, 255, 2], np.uint8)).encode()
    assert Boxes.is_in(payload) and not Boxes.is_in(pixels) and not Boxes.is_in(b'')
    assert decode(pixels).class_counts(4).tolist() == [0, 2, 1, 0]
    assert decode(payload).class_counts(5).tolist() == boxes.class_counts(5).tolist()
    assert decode(b'') is None
    with pytest.raises(ValueError, match='payload of boxes'):
        Boxes.decode(pixels)


def test_no_object_is_an_answer_too():
    empty = Boxes([], [])
    assert len(Boxes.decode(empty.encode())) == 0 and empty.category == -1
    assert decode(empty.encode()).class_counts(2).tolist() == [0, 0]


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
