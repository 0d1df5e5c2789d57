"""Draws units, answers and predictions over images; pure functions on arrays."""

import base64
import colorsys
import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from dense_al.pool import UnitPixels
from dense_al.structures import IGNORE, Pixels

UNASKED = -1
OUTLINE, SHADOW = (255, 221, 0), (0, 0, 0)
CANNOT_SAY = (150, 150, 150)
BASE_PALETTE = (
    (128, 64, 128), (232, 90, 60), (70, 130, 180), (107, 142, 35), (250, 190, 50), (0, 160, 150),
    (220, 20, 90), (120, 120, 60), (60, 60, 200), (240, 150, 200), (90, 200, 90), (150, 80, 40),
)  # fmt: skip


def palette(n: int) -> np.ndarray:
    """(n, 3) uint8 distinct colours, one per class."""
    more = [
        tuple(round(255 * v) for v in colorsys.hsv_to_rgb(i * 0.618 % 1, 0.65, 0.55 + i % 3 * 0.2))
        for i in range(max(n - len(BASE_PALETTE), 0))
    ]
    return np.array([*BASE_PALETTE, *more], np.uint8)[:n]


def outlines(units: np.ndarray, width: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Inner and outer border of the units asked for.

    Args:
        units: (H, W) int, unit of each pixel, `UNASKED` outside what was asked.
        width: Width of a border, pixels.

    Returns:
        inner: (H, W) bool, pixels of a unit at most `width` rows or columns from another unit,
            from `UNASKED` or from beyond the picture's edge.
        outer: (H, W) bool, `UNASKED` pixels as near to a unit.

    >>> outlines(np.array([[-1, -1, -1, -1], [-1, 4, 4, 4]]))[1].tolist()
    [[False, True, True, True], [True, False, False, False]]
    """
    height, length = units.shape
    padded = np.pad(units, width, constant_values=UNASKED)
    asked = units != UNASKED
    differs, near = np.zeros(units.shape, bool), np.zeros(units.shape, bool)
    for step in range(1, width + 1):
        for dy, dx in ((-step, 0), (step, 0), (0, -step), (0, step)):
            y, x = width + dy, width + dx
            other = padded[y : y + height, x : x + length]
            differs |= other != units
            near |= other != UNASKED
    return asked & differs, ~asked & near


def decode_answers(
    regions: np.ndarray, units: Sequence[int], payloads: Sequence[bytes]
) -> np.ndarray:
    """Puts the answers of one sample back into its pixels.

    Args:
        regions: (H, W) int, unit of each pixel.
        units: (K,) units that were answered; a later one wins.
        payloads: (K,) their payloads, those of `dense_al.structures.Pixels`.

    Returns:
        (H, W) uint8 class, 255 where there is no label.

    Raises:
        ValueError: A payload does not fit its unit, so the regions are not those of the run.
    """
    pixels = UnitPixels(regions)
    out = np.full(regions.size, IGNORE, np.uint8)
    for unit, payload in zip(units, payloads):
        labels, at = Pixels.decode(payload).labels, pixels[int(unit)]
        if len(labels) != len(at):
            raise ValueError(f'Expected {len(at)} labels for unit {unit}, but got '
                             f'{len(labels)}; are these the regions of the run?')  # fmt: skip
        out[at] = labels
    return out.reshape(regions.shape)


def overlay(
    image: np.ndarray, labels: np.ndarray, colours: np.ndarray, shown: np.ndarray | None = None
) -> np.ndarray:
    """Lays classes over an image.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) uint8 class, 255 = cannot say (grey).
        colours: (C, 3) uint8.
        shown: (H, W) bool, where to lay them; by default everywhere.

    Returns:
        (H, W, 3) uint8.
    """
    table = np.full((256, 3), CANNOT_SAY, np.uint8)
    table[: len(colours)] = colours[:IGNORE]
    mixed = (0.35 * image + 0.65 * table[labels]).astype(np.uint8)
    return mixed if shown is None else np.where(shown[..., None], mixed, dim(image))


def dim(image: np.ndarray) -> np.ndarray:
    """An image in half light and half colour, (H, W, 3) uint8."""
    grey = image.mean(axis=-1, keepdims=True)
    return (0.3 * image + 0.35 * grey + 20).clip(0, 255).astype(np.uint8)


def draw_outlines(image: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Draws the borders of the units asked for; `units` as in `outlines`."""
    width = max(max(units.shape) // 160, 1)
    inner, outer = outlines(units, width)[0], outlines(units, max(width // 2, 1))[1]
    out = image.copy()
    out[outer], out[inner] = SHADOW, OUTLINE
    return out


def crop_box(asked: np.ndarray, margin: float = 0.35, least: int = 96) -> tuple[slice, slice]:
    """The part of a picture around what was asked; all of it where that saves little.

    Args:
        asked: (H, W) bool.
        margin: What to leave around, as a part of the longer side of what was asked.
        least: Smallest side, pixels.

    Returns:
        Rows and columns.
    """
    height, width = asked.shape
    everything = (slice(0, height), slice(0, width))
    if not asked.any():
        return everything
    box = []
    for axis, size in ((1, height), (0, width)):
        at = np.flatnonzero(asked.any(axis=axis))
        box.append((int(at[0]), int(at[-1]) + 1, size))
    longest = max(stop - start for start, stop, _ in box)
    side = max(longest * (1 + 2 * margin), least)
    parts = []
    for start, stop, size in box:
        length = min(max(side, stop - start), size)
        first = int(min(max((start + stop - length) / 2, 0), size - length))
        parts.append(slice(first, first + int(length)))
    area = (parts[0].stop - parts[0].start) * (parts[1].stop - parts[1].start)
    return (parts[0], parts[1]) if area < 0.6 * height * width else everything


def render(
    image: np.ndarray,
    units: np.ndarray | None,
    labels: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    *,
    colours: np.ndarray,
    side: int = 480,
    crop: bool = True,
) -> dict[str, np.ndarray]:
    """Draws one sample.

    Args:
        image: (H, W, 3) uint8.
        units: (H, W) int, unit of each pixel, `UNASKED` outside; None where it is unknown.
        labels: (H, W) uint8 answers, 255 = cannot say; None before they came.
        prediction: (H, W) uint8 classes of the model; None where there is none.
        colours: (C, 3) uint8.
        side: Longer side of the pictures, pixels. Borders are drawn after scaling.
        crop: Whether large pictures are cut to what was asked.

    Returns:
        `asked`, and `answered` and `predicted` where they are given.
    """
    maps = {'units': units, 'labels': labels, 'prediction': prediction}
    for name, value in maps.items():
        if value is not None and value.shape != image.shape[:2]:
            raise ValueError(f'Expected {name} of shape {image.shape[:2]}, but got {value.shape}')
    part = (slice(None), slice(None))
    if crop and units is not None:
        part = crop_box(units != UNASKED)
    image, scale = _fit(image[part], side)
    near = {k: None if v is None else scale(v[part]) for k, v in maps.items()}
    units, labels, prediction = near['units'], near['labels'], near['prediction']
    if units is None:
        pictures = {'asked': image}
    else:
        asked = units != UNASKED
        lit = np.where(asked[..., None], image, dim(image))
        pictures = {'asked': draw_outlines(lit, units)}
        if labels is not None:
            pictures['answered'] = draw_outlines(overlay(image, labels, colours, asked), units)
    if prediction is not None:
        pictures['predicted'] = overlay(image, prediction, colours)
    return pictures


def data_address(picture: np.ndarray) -> str:
    """A picture, (H, W, 3) uint8, as a JPEG `data:` address with its colours at full resolution."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, 'JPEG', quality=85, subsampling=0)
    return 'data:image/jpeg;base64,' + base64.b64encode(data.getvalue()).decode()


def _fit(image: np.ndarray, side: int) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Scales an image to a longer side; also returns what scales a map of ids alike."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    size = max(round(height * factor), 1), max(round(width * factor), 1)
    rows = ((np.arange(size[0]) + 0.5) / factor).astype(np.int64).clip(max=height - 1)
    columns = ((np.arange(size[1]) + 0.5) / factor).astype(np.int64).clip(max=width - 1)
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX
    scaled = np.asarray(Image.fromarray(image).resize(size[::-1], how))
    return scaled, lambda ids: ids[np.ix_(rows, columns)]
