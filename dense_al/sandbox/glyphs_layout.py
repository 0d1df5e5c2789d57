"""What stands where in a generated glyph scene: drawn once per sequence."""

from dataclasses import dataclass, replace

import numpy as np

from dense_al.sandbox.glyphs_paint import (
    BODY_ALPHA,
    Stamp,
    affine,
    box_of,
    crop_ink,
    half_extent,
    mask_of,
    random_colour,
    stamp_body,
    stamp_glyph,
)
from dense_al.sandbox.glyphs_sources import Glyphs

MAX_ANGLE = np.deg2rad(5)
MAX_SHEAR = np.deg2rad(3)
MAX_SHIFT = 0.4  # of the side, from the centre of the canvas
MAX_OVERLAP = 0.4  # of the area of either box
MIN_BOX = 3  # pixels
TRIES = 30  # per glyph; a crowded image loses glyphs instead of searching for ever
# Least distance, 0..1 in RGB, between a blended glyph and the mean of what lies under its box.
CONTRAST = 0.22
PART_CONTRAST = 0.35
BODY_CONTRAST = (0.3, 0.6)
BODY_SIZE = (1.7, 2.2)  # sides of a body, in longer sides of its glyph


@dataclass(frozen=True, eq=False)
class Body:
    """The large faint shape around a small glyph.

    Attributes:
        size: Width and height, pixels.
        power: 2 = ellipse, higher = rounded box.
        offset: (2,) centre of the body minus centre of the glyph, pixels.
        colour: (3,) float32 RGB 0..1.
    """

    size: tuple[float, float]
    power: float
    offset: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True, eq=False)
class Thing:
    """One object.

    Attributes:
        label: Class index.
        glyph: (h, w) uint8, cropped to its ink.
        matrix: (2, 2) from glyph pixels to canvas pixels.
        centre: (2,) x, y of the glyph, pixels.
        colour: (3,) float32 RGB 0..1.
        body: What the glyph is a part of; None: the glyph is the whole object.
    """

    label: int
    glyph: np.ndarray
    matrix: np.ndarray
    centre: np.ndarray
    colour: np.ndarray
    body: Body | None = None

    def stamp(self) -> Stamp:
        """The ink of the glyph."""
        return stamp_glyph(self.glyph, self.matrix, self.centre)

    def stamp_body(self) -> tuple[Stamp, np.ndarray]:
        """The body and the cover of its rim."""
        assert self.body is not None
        return stamp_body(self.body.size, self.body.power, self.centre + self.body.offset)

    def mask(self, side: int) -> np.ndarray:
        """(side, side) bool: the whole object, what other objects hide included."""
        return mask_of(self.stamp() if self.body is None else self.stamp_body()[0], side)

    def moved(self, shift: np.ndarray, side: int) -> 'Thing':
        """The thing moved by (2,) pixels, as far as it stays on the canvas."""
        if self.body is None:
            offset, half = np.zeros(2), half_extent(self.glyph.shape, self.matrix)
        else:
            offset, half = self.body.offset, np.asarray(self.body.size) / 2
        middle = np.clip(self.centre + offset + shift, half + 1, side - half - 1)
        return replace(self, centre=middle - offset)


@dataclass(frozen=True, eq=False)
class Layout:
    """All that the frames of a sequence share.

    Attributes:
        background: (side + 2 * margin, ..., 3) float32 0..1; a frame sees a window of it.
        things: The objects.
        alpha: How strongly glyphs cover the background.
    """

    background: np.ndarray
    things: tuple[Thing, ...]
    alpha: float


@dataclass(frozen=True)
class Rules:
    """How things are drawn.

    Attributes:
        side: Of the canvas, pixels.
        scale: Least and largest longer side of a glyph, shares of the side.
        parts: Share of glyphs that are part of a body.
        mean_count: Glyphs of an image on the average.
        weights: (C,) probabilities of the classes.
    """

    side: int
    scale: tuple[float, float]
    parts: float
    mean_count: float
    weights: tuple[float, ...]


def draw_layout(
    rng: np.random.Generator, background: np.ndarray, glyphs: Glyphs, rules: Rules
) -> Layout:
    """Draws objects that are seen and do not hide one another.

    The published generator draws a whole image anew when one glyph of it fails, which makes full
    images rare; here the failing glyph alone is drawn anew, so that the counts stay Poisson.
    """
    margin = (len(background) - rules.side) // 2
    seen = background[margin : margin + rules.side, margin : margin + rules.side]
    alpha = rng.uniform(0.5, 0.9)
    things: list[Thing] = []
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(int(rng.poisson(rules.mean_count))):
        label = int(rng.choice(len(rules.weights), p=rules.weights))
        glyph = crop_ink(glyphs.images[rng.choice(glyphs.members[label])])
        embodied = rng.random() < rules.parts
        for _ in range(TRIES):
            thing = _draw_thing(rng, label, glyph, embodied, seen, rules)
            if not _stands_out(thing, seen, alpha):
                continue
            box = box_of(thing.mask(rules.side))
            if min(box[2] - box[0], box[3] - box[1]) >= MIN_BOX and not _hides(box, boxes):
                things.append(thing)
                boxes.append(box)
                break
    return Layout(background, tuple(things), alpha)


def _draw_thing(
    rng: np.random.Generator,
    label: int,
    glyph: np.ndarray,
    embodied: bool,
    seen: np.ndarray,
    rules: Rules,
) -> Thing:
    """One proposal. It always lies on the canvas; published glyphs may be cut off a little."""
    side = rules.side
    low, high = rules.scale
    # The glyph within a body is of the smallest kind, so that the body fits on the canvas.
    share = low * rng.uniform(1, 1.2) if embodied else rng.uniform(low, high)
    # A lean glyph such as I or 1 is drawn larger where its box would be a hair.
    size = max(share * side, (MIN_BOX + 0.5) * max(glyph.shape) / min(glyph.shape))
    angle = rng.uniform(-MAX_ANGLE, MAX_ANGLE)
    matrix = affine(glyph.shape, size, angle, rng.uniform(-MAX_SHEAR, MAX_SHEAR))
    centre = side * (0.5 + rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2))
    body = _draw_body(rng, size, seen, centre) if embodied else None
    thing = Thing(label, glyph, matrix, centre, random_colour(rng), body)
    return thing.moved(np.zeros(2), side)


def _draw_body(rng: np.random.Generator, size: float, seen: np.ndarray, centre: np.ndarray) -> Body:
    """A body for a glyph of `size` pixels; its look says nothing about the class."""
    width, height = np.minimum(rng.uniform(*BODY_SIZE, 2) * size, len(seen) - 4)
    power = 2.0 if rng.random() < 0.5 else 6.0
    # An ellipse is narrow off its axes, so its glyph stays nearer to the middle.
    free = np.maximum(np.array([width, height]) / 2 - 0.6 * size, 0)
    offset = rng.uniform(-1, 1, 2) * free * (0.55 if power == 2 else 0.85)
    under = _mean_under(seen, centre, size)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    colour = np.clip(under + rng.uniform(*BODY_CONTRAST) * direction, 0, 1)
    return Body((float(width), float(height)), power, offset, colour.astype(np.float32))


def _mean_under(seen: np.ndarray, centre: np.ndarray, size: float) -> np.ndarray:
    """(3,) mean colour of the background around a place."""
    x1, y1 = np.maximum(centre - size / 2, 0).astype(int)
    x2, y2 = np.ceil(centre + size / 2).astype(int)
    return seen[y1:y2, x1:x2].mean(axis=(0, 1))


def _stands_out(thing: Thing, seen: np.ndarray, alpha: float) -> bool:
    """Whether the blended glyph differs from what lies under it.

    The released rule compares the indices of the fullest bins of two histograms, so it rejects
    nothing but equal bins. A distance of mean colours does what that rule was meant to do.
    """
    size = 2 * float(half_extent(thing.glyph.shape, thing.matrix).max())
    under = _mean_under(seen, thing.centre, size)
    least = CONTRAST
    if thing.body is not None:
        under = under + BODY_ALPHA * (thing.body.colour - under)
        least = PART_CONTRAST
    return bool(alpha * np.linalg.norm(thing.colour - under) >= least)


def _hides(box: tuple[int, ...], others: list[tuple[int, int, int, int]]) -> bool:
    """Whether a box and another one share too much of the area of either."""
    if not others:
        return False
    a, b = np.asarray(box), np.asarray(others)
    sides = np.minimum(a[2:], b[:, 2:]) - np.maximum(a[:2], b[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    least = np.minimum((a[2:] - a[:2]).prod(), (b[:, 2:] - b[:, :2]).prod(axis=1))
    return bool((common > MAX_OVERLAP * least).any())
