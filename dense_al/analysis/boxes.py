"""Pictures of objects in boxes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dense_al.structures import Boxes


def draw_boxes(
    image: np.ndarray,
    objects: Boxes,
    colours: np.ndarray,
    classes: Sequence[str] = (),
    side: int = 480,
) -> np.ndarray:
    """Draws objects over an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        objects: Boxes in pixels of the image.
        colours: (C, 3) uint8 colour of each class.
        classes: Names of the classes; none to draw no names.
        side: Longer side of the picture in pixels.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    factor = side / max(image.shape[:2])
    size = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, side // 30))
    for box, label in zip(objects.boxes * factor, objects.labels):
        colour = tuple(int(v) for v in colours[int(label) % len(colours)])
        x1, y1, x2, y2 = (float(v) for v in box)
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=(255, 255, 255), width=4)
        pen.rectangle((x1, y1, x2, y2), outline=colour, width=2)
        if len(classes):
            name = classes[int(label)]
            left, top, right, bottom = pen.textbbox((x1 + 5, y1 + 3), name, font)
            pen.rectangle((left - 3, top - 3, right + 3, bottom + 3), fill=colour)
            pen.text((x1 + 5, y1 + 3), name, (255, 255, 255), font)
    return np.asarray(picture)


def render_boxes(
    image: np.ndarray,
    answered: Boxes | None,
    predicted: Boxes | None,
    *,
    colours: np.ndarray,
    classes: Sequence[str],
    side: int = 480,
) -> dict[str, np.ndarray]:
    """Pictures of one sample: `asked`, and `answered` and `predicted` where they are given."""
    nothing = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    shown = {'asked': nothing, 'answered': answered, 'predicted': predicted}
    return {
        title: draw_boxes(image, objects, colours, classes, side)
        for title, objects in shown.items()
        if objects is not None
    }
