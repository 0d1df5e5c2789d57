"""Pictures of points asked on objects, and of what the model says of their masks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from dense_al.acquisition.functional import pixel_boxes
from dense_al.analysis.boxes import draw_boxes
from dense_al.structures import INSIDE, OUTSIDE, Boxes, InstancePrediction

COLOURS = {INSIDE: (30, 200, 60), OUTSIDE: (235, 50, 50)}
UNKNOWN = (170, 170, 170)


class AskedPoint(NamedTuple):
    """A point in a picture.

    Attributes:
        x, y: Pixel of the image.
        label: 1 on the object, 0 beside it, -1 nobody can say or not answered yet.
        new: Whether it was asked in the round shown.
    """

    x: int
    y: int
    label: int
    new: bool


def render_points(
    image: np.ndarray,
    objects: Boxes,
    points: Sequence[AskedPoint],
    maps: InstancePrediction | None = None,
    *,
    colours: np.ndarray,
    classes: Sequence[str] = (),
    side: int = 480,
) -> dict[str, np.ndarray]:
    """Pictures of one sample.

    Args:
        image: (H, W, 3) uint8 RGB.
        objects: Boxes in pixels of the image.
        points: All that were asked; those of the round are drawn large, green on the object, red
            beside it, grey where nobody can say.
        maps: What the model says of the objects; None to leave the picture out.
        colours: (C, 3) uint8 colour of each class.
        classes: Names of the classes; none to draw no names.
        side: Longer side of the pictures in pixels.

    Returns:
        `asked`, and `predicted`, the foreground probability inside the boxes.
    """
    pictures = {'asked': draw_boxes(image, objects, colours, classes, side)}
    if maps is not None and maps.maps:
        pictures['predicted'] = draw_boxes(_lit(image, maps), objects, colours, (), side)
    return {title: _dotted(picture, image, points) for title, picture in pictures.items()}


def _lit(image: np.ndarray, found: InstancePrediction) -> np.ndarray:
    """The image, yellow where an object is and dark where none is, (H, W, 3) uint8."""
    heat = np.zeros(image.shape[:2], np.float32)
    for (x0, y0, x1, y1), views in zip(pixel_boxes(found.boxes, *found.size), found.maps):
        if views is not None:
            part = heat[y0:y1, x0:x1]
            np.maximum(part, views.mean(0), out=part)
    grey = image.mean(axis=2, keepdims=True) * 0.35
    return (grey + heat[..., None] * np.array([190, 170, 0])).clip(0, 255).astype(np.uint8)


def _dotted(picture: np.ndarray, image: np.ndarray, points: Sequence[AskedPoint]) -> np.ndarray:
    """A picture with the points of its image."""
    factor = picture.shape[1] / image.shape[1]
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    for point in sorted(points, key=lambda p: p.new):
        radius = max(picture.shape[1] / (70 if point.new else 150), 2)
        x, y = (point.x + 0.5) * factor, (point.y + 0.5) * factor
        where = (x - radius, y - radius, x + radius, y + radius)
        rim = (255, 255, 255) if point.new else (0, 0, 0)
        pen.ellipse(where, fill=COLOURS.get(point.label, UNKNOWN), outline=rim, width=2)
    return np.asarray(drawn)
