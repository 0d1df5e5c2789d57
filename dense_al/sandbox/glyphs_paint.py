"""How a generated glyph scene is drawn: backgrounds, glyphs, bodies, blending."""

import colorsys
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

PHOTO_SUFFIXES = ('.jpg', '.jpeg', '.png')
INK = 0.4  # share of a pixel that ink must cover to be in the mask
SUPER = 2  # glyphs are drawn this much finer and averaged
BODY_ALPHA = 0.32
RIM_ALPHA = 0.55


class Stamp(NamedTuple):
    """Ink over a window of the canvas.

    Attributes:
        cover: (h, w) float32, 0..1.
        top: Row of the window on the canvas; may be negative.
        left: Column of the window; may be negative.
    """

    cover: np.ndarray
    top: int
    left: int

    def on(self, side: int) -> tuple[np.ndarray, tuple[slice, slice]]:
        """The part of the ink that lies on a square canvas, and where it lies."""
        height, width = self.cover.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + height, side), min(self.left + width, side)
        inner = self.cover[top - self.top : bottom - self.top, left - self.left : right - self.left]
        return inner, (slice(top, bottom), slice(left, right))


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32 RGB 0..1: hue from all, saturation from .05, value from .1."""
    h, s, v = rng.random(), rng.uniform(0.05, 1), rng.uniform(0.1, 1)
    return np.asarray(colorsys.hsv_to_rgb(h, s, v), np.float32)


def texture(rng: np.random.Generator, side: int) -> np.ndarray:
    """A background of coloured clouds, grain and clutter, (side, side, 3) float32 0..1."""
    colours = np.stack([random_colour(rng) for _ in range(9)]).reshape(3, 3, 3)
    image = np.stack([_grow(colours[..., c], side) for c in range(3)], axis=2)
    # Pale and calm on the whole, as photographs are, so that most glyph colours stand out.
    image = image.mean() + (image - image.mean()) * rng.uniform(0.3, 0.8)
    grey = np.zeros((side, side), np.float32)
    for cells, weight in ((5, 0.06), (13, 0.05), (31, 0.04)):
        grid = rng.normal(size=(cells, cells)).astype(np.float32)
        grey += weight * rng.uniform(0.3, 1.3) * _grow(grid, side)
    page = Image.fromarray(to_bytes(image + grey[..., None]))
    _clutter(rng, page)
    return np.asarray(page, np.float32) / 255


def _grow(grid: np.ndarray, side: int) -> np.ndarray:
    """Interpolates a coarse grid to (side, side)."""
    page = Image.fromarray(np.ascontiguousarray(grid, np.float32))
    return np.asarray(page.resize((side, side), Image.Resampling.BICUBIC))


def _clutter(rng: np.random.Generator, page: Image.Image) -> None:
    """Draws translucent plates, discs and strokes: what a detector must learn to ignore."""
    draw = ImageDraw.Draw(page, 'RGBA')
    side = page.size[0]
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.uniform(-0.1, 1.1, 2) * side
        dx, dy = rng.uniform(0.05, 0.4, 2) * side
        red, green, blue = (int(255 * value) for value in random_colour(rng))
        fill = (red, green, blue, int(rng.uniform(40, 150)))
        kind = int(rng.integers(3))
        if kind == 0:
            draw.rectangle((x, y, x + dx, y + dy), fill)
        elif kind == 1:
            draw.ellipse((x, y, x + dx, y + dy), fill)
        else:
            flip = -1 if rng.random() < 0.5 else 1
            draw.line((x, y, x + flip * dx, y + dy), fill, max(1, round(side * 0.02)))


def list_photographs(folder: str, split: str) -> list[Path]:
    """Photographs of a split: the last tenth is for val, the others for train.

    Raises:
        ValueError: Fewer than two photographs.
    """
    found = [p for p in Path(folder).rglob('*') if p.suffix.lower() in PHOTO_SUFFIXES]
    if len(found) < 2:
        raise ValueError(
            f'Expected `backgrounds` to hold at least 2 photographs {PHOTO_SUFFIXES}, '
            f'but got {len(found)} in {folder!r}'
        )
    found.sort(key=lambda path: path.relative_to(folder).as_posix())
    kept = len(found) - max(1, len(found) // 10)
    return found[:kept] if split == 'train' else found[kept:]


def photograph(path: Path, side: int) -> np.ndarray:
    """The centre of a photograph, its shorter side resized, (side, side, 3) float32 0..1."""
    with Image.open(path) as file:
        file.draft('RGB', (side, side))
        page = file.convert('RGB')
        edge = min(page.size)
        x, y = ((length - edge) / 2 for length in page.size)
        box = (x, y, x + edge, y + edge)
        page = page.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(page, np.float32) / 255


def crop_ink(glyph: np.ndarray) -> np.ndarray:
    """The part of a glyph image (h, w) uint8 that holds ink."""
    rows = np.flatnonzero((glyph > 127).any(axis=1))
    cols = np.flatnonzero((glyph > 127).any(axis=0))
    return glyph[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]


def affine(shape: tuple[int, ...], size: float, angle: float, shear: float) -> np.ndarray:
    """(2, 2) matrix from glyph pixels to canvas pixels, x before y.

    Args:
        shape: Rows and columns of the cropped glyph.
        size: Its longer side on the canvas, pixels.
        angle: Rotation, radians.
        shear: Slant of the upright strokes, radians.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return size / max(shape) * turn @ np.array([[1, math.tan(shear)], [0, 1]])


def half_extent(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """(2,) half width and half height of the box around a transformed glyph, pixels."""
    return np.abs(matrix) @ np.array([shape[1], shape[0]]) / 2


def stamp_glyph(glyph: np.ndarray, matrix: np.ndarray, centre: np.ndarray) -> Stamp:
    """Draws a cropped glyph (h, w) uint8 around a centre (x, y) in pixels."""
    half = half_extent(glyph.shape, matrix)
    # Two pixels of margin: one for soft edges, one for the mean filter.
    left, top = (int(v) for v in np.floor(centre - half) - 2)
    right, bottom = (int(v) for v in np.ceil(centre + half) + 2)
    back = np.linalg.inv(matrix)
    # A border of paper, without which the outermost strokes would end in a step.
    page = Image.fromarray(np.pad(glyph, 2))
    middle = np.array([glyph.shape[1], glyph.shape[0]]) / 2 + 2
    shift = middle + back @ (np.array([left, top]) - centre)
    (a, b), (d, e) = back / SUPER
    window = (SUPER * (right - left), SUPER * (bottom - top))
    data = (a, b, shift[0], d, e, shift[1])
    page = page.transform(window, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return Stamp(np.asarray(page.reduce(SUPER), np.float32) / 255, top, left)


def stamp_body(
    size: tuple[float, float], power: float, centre: np.ndarray
) -> tuple[Stamp, np.ndarray]:
    """Draws the body of an object: an ellipse (power 2) or a rounded box (higher powers).

    Args:
        size: Width and height, pixels.
        power: Exponent of the super-ellipse.
        centre: x, y in pixels.

    Returns:
        The filled body, and the cover (h, w) of its rim over the same window.
    """
    half = np.asarray(size) / 2
    left, top = (int(v) for v in np.floor(centre - half) - 2)
    right, bottom = (int(v) for v in np.ceil(centre + half) + 2)
    x = np.abs(np.arange(left, right, dtype=np.float32) + 0.5 - centre[0]) / half[0]
    y = np.abs(np.arange(top, bottom, dtype=np.float32) + 0.5 - centre[1]) / half[1]
    radius = (x[None] ** power + y[:, None] ** power) ** (1 / power)
    depth = ((1 - radius) * half.min()).astype(np.float32)  # pixels below the rim, nearly
    thick = max(1.5, 0.04 * float(half.min()))
    cover = np.clip(depth + 0.5, 0, 1)
    return Stamp(cover, top, left), cover * np.clip(thick + 0.5 - depth, 0, 1)


def lay_body(image: np.ndarray, body: Stamp, rim: np.ndarray, colour: np.ndarray) -> None:
    """Blends a body into the background `image` (H, W, 3) in place, faintly."""
    cover, window = body.on(len(image))
    rim, _ = Stamp(rim, body.top, body.left).on(len(image))
    alpha = np.maximum(BODY_ALPHA * cover, RIM_ALPHA * rim)[..., None]
    image[window] += alpha * (colour - image[window])


def merge_glyph(cover: np.ndarray, ink: np.ndarray, stamp: Stamp, colour: np.ndarray) -> None:
    """Adds a glyph to the ink of an image in place; where two overlap the darker value stays.

    Args:
        cover: (H, W) float32, ink so far.
        ink: (H, W, 3) float32, its colour.
        stamp: The glyph.
        colour: (3,) float32.
    """
    new, window = stamp.on(len(cover))
    old, shown = cover[window], ink[window]
    # At soft edges the glyph that covers more gives the colour, else a rim would stain the other.
    both = (np.minimum(new, old) > INK)[..., None]
    more = (new > old)[..., None]
    ink[window] = np.where(both, np.minimum(shown, colour), np.where(more, colour, shown))
    cover[window] = np.maximum(old, new)


def mean_filter(array: np.ndarray) -> np.ndarray:
    """2x2 mean of the first two axes, the last row and column repeated; same shape."""
    pad = ((0, 1), (0, 1)) + ((0, 0),) * (array.ndim - 2)
    wide = np.pad(array, pad, mode='edge')
    rows = wide[:-1] + wide[1:]
    return 0.25 * (rows[:, :-1] + rows[:, 1:])


def mask_of(stamp: Stamp, side: int) -> np.ndarray:
    """(side, side) bool: where a stamp is seen after the mean filter."""
    mask = np.zeros((side, side), bool)
    cover, window = Stamp(mean_filter(stamp.cover), stamp.top, stamp.left).on(side)
    mask[window] = cover >= INK
    return mask


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Tight box x1, y1, x2, y2 (ends excluded) around a mask; zeros around an empty one."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Float 0..1 to uint8."""
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
