"""Upright things of a generated street: cars, people, bicycles, poles, signs, trees, bins."""

from collections.abc import Callable, Iterator

import numpy as np

from dense_al.sandbox.streets_layout import CLASS, IGNORE, PERIOD, Layout, Thing
from dense_al.sandbox.streets_surfaces import FAR, Camera, Canvas, leaves, sample

NEAR = 2.5  # nothing is drawn nearer than this, metres
SMALL = {'person': 30.0, 'bicycle': 22.0, 'sign': 30.0}  # how far small things are drawn

# (mask, class index or 255, colour (3,) or (h, w, 3), glow (3,)), all over one window.
Layer = tuple[np.ndarray, int, np.ndarray, tuple[float, float, float]]
DARK = (0.0, 0.0, 0.0)

# Half width and height of the window each kind is drawn in, metres at size 1.
EXTENT = {
    'car': (2.4, 1.8),
    'person': (0.5, 2.0),
    'bicycle': (1.1, 1.3),
    'pole': (1.6, 6.5),
    'sign': (0.7, 3.2),
    'tree': (3.2, 8.0),
    'bin': (0.5, 1.2),
}


def place(thing: Thing, camera: Camera, frame: int) -> tuple[float, float]:
    """Position seen from the camera at a frame: metres to the right and metres ahead."""
    x = thing.x + thing.speed[0] * frame - camera.x
    z = (thing.z + thing.speed[1] * frame - camera.z) % PERIOD
    return x, z


def paint_things(canvas: Canvas, layout: Layout, camera: Camera, frame: int) -> None:
    """Draws all things in view from far to near, each with a dark contact with the ground."""
    placed = [(*place(thing, camera, frame), thing) for thing in layout.things]
    for x, z, thing in sorted(placed, key=lambda item: -item[1]):
        if NEAR < z < SMALL.get(thing.kind, FAR):
            _paint_thing(canvas, layout, camera, thing, x, z)


def _paint_thing(
    canvas: Canvas, layout: Layout, camera: Camera, thing: Thing, x: float, z: float
) -> None:
    """Draws one thing into the window around it."""
    height, width = canvas.label.shape
    scale = camera.focal / z  # pixels per metre
    middle = camera.centre[0] + x * scale
    foot = camera.centre[1] + 1.5 * scale
    half, tall = (extent * thing.size for extent in EXTENT[thing.kind])
    top, bottom = int(max(foot - tall * scale, 0)), int(min(foot + 0.3 * scale + 2, height))
    left, right = int(max(middle - half * scale, 0)), int(min(middle + half * scale + 2, width))
    if top >= bottom or left >= right:
        return
    rows, cols = np.mgrid[top:bottom, left:right].astype(np.float32)
    u = (cols + 0.5 - middle) / (scale * thing.size)
    v = (foot - rows - 0.5) / (scale * thing.size)
    window = (slice(top, bottom), slice(left, right))
    if thing.kind in ('car', 'tree', 'person', 'bin'):
        reach = {'car': 1.1, 'tree': 0.9}.get(thing.kind, 0.4)
        dark = np.exp(-((u / reach) ** 2) - (v / 0.18) ** 2) * (canvas.up[window] == 0)
        canvas.image[window] *= 1 - 0.55 * dark[..., None]
    view = canvas.part(*window)
    for mask, label, colour, glow in DRAW[thing.kind](thing, layout, u, v, scale * thing.size):
        mask = mask & (v >= 0)
        count = int(mask.sum())
        shown = colour[mask] if colour.ndim == 3 else np.broadcast_to(colour, (count, 3))
        ahead = np.full(count, z, np.float32)
        across = np.full(count, x + camera.x, np.float32)
        view.put(mask, label, shown, ahead, across, v[mask] * thing.size + 0.01)
        view.glow[mask] = glow


def _box(u: np.ndarray, v: np.ndarray, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    return (u >= u0) & (u <= u1) & (v >= v0) & (v <= v1)


def _disc(u: np.ndarray, v: np.ndarray, u0: float, v0: float, ru: float, rv: float) -> np.ndarray:
    return ((u - u0) / ru) ** 2 + ((v - v0) / rv) ** 2 <= 1


def _car(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """Seen from behind or, one in four, from the side; vans are higher."""
    car = CLASS['car']
    van = 0.35 if thing.variant > 0.8 else 0.0
    shade = thing.colour * (0.75 + 0.35 * np.clip(v, 0, 1.4))[..., None]
    glass = np.array([0.16, 0.2, 0.25], np.float32) + 0.25 * layout.colours['sky']
    black = np.array([0.05, 0.05, 0.05], np.float32)
    if (thing.variant * 16) % 1 < 0.25:
        for wheel in (-1.25, 1.25):
            yield _disc(u, v, wheel, 0.32, 0.34, 0.34), car, black, DARK
        yield _box(u, v, -2.1, 2.1, 0.3, 0.9), car, shade, DARK
        yield (np.abs(u) < 1.75 - (v - 0.9) * 0.9) & (v > 0.85) & (v < 1.42 + van), car, shade, DARK
        pane = (np.abs(u) < 1.5 - (v - 0.9) * 0.9) & (v > 0.95) & (v < 1.32) & (np.abs(u) > 0.06)
        yield pane, car, glass, DARK
        return
    yield _box(np.abs(u), v, 0.5, 0.82, 0.0, 0.4), car, black, DARK
    yield _box(u, v, -0.88, 0.88, 0.22, 0.95), car, shade, DARK
    cabin = (np.abs(u) < 0.85 - (v - 0.9) * 0.45) & (v > 0.9) & (v < 1.45 + van)
    yield cabin, car, shade, DARK
    yield cabin & (np.abs(u) < 0.66) & (v > 0.98) & (v < 1.33), car, glass, DARK
    towards = thing.speed[1] < 0 or (thing.variant * 7) % 1 < 0.4
    lamp = np.array([0.85, 0.85, 0.8] if towards else [0.6, 0.08, 0.08], np.float32)
    on = abs(thing.speed[1]) > 0
    glow = ((1.0, 0.95, 0.8) if towards else (0.9, 0.1, 0.05)) if on else DARK
    yield _box(np.abs(u), v, 0.58, 0.82, 0.62, 0.8), car, lamp, glow


def _person(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """Legs, trunk and head; clothes of any colour, dull ones mostly."""
    person = CLASS['person']
    legs = np.clip(thing.colour[::-1] * 0.5, 0.05, 0.5)
    skin = np.array([0.62, 0.46, 0.36], np.float32) * (0.5 + 0.6 * thing.variant)
    stride = 0.16 * thing.variant * (1 - v / 0.9)
    thin = max(0.09, 0.6 / scale)
    for side in (-1, 1):
        leg = (np.abs(u - side * (0.08 + stride)) < thin) & (v < 0.9)
        yield leg, person, legs, DARK
    yield _disc(u, v, 0.0, 1.15, max(0.27, 0.8 / scale), 0.45), person, thing.colour, DARK
    radius = max(0.13, 0.6 / scale)
    yield _disc(u, v, 0.0, 1.66, radius, radius + 0.03), person, skin, DARK


def _bicycle(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """Two rims and a frame; the spokes are a grey disc."""
    bicycle = CLASS['bicycle']
    thin = max(0.06, 0.6 / scale)
    squeeze = 0.5 + 0.5 * thing.variant  # turned away from the viewer
    w = u / squeeze
    black = np.array([0.08, 0.08, 0.09], np.float32)
    for wheel in (-0.55, 0.55):
        ring = np.hypot(w - wheel, v - 0.35)
        yield (ring < 0.34), bicycle, 0.5 * (thing.colour + black), DARK
        yield (np.abs(ring - 0.32) < thin), bicycle, black, DARK
    bars = (np.abs(v - 0.35 - np.abs(w) * 0.5) < thin) & (np.abs(w) < 0.55) & (v > 0.3)
    bars |= _box(w, v, -0.4, 0.45, 0.68 - thin, 0.68 + thin)
    bars |= _box(w, v, 0.4, 0.62, 0.95, 1.02) | _box(w, v, -0.35, -0.1, 0.85, 0.92)
    yield bars, bicycle, thing.colour, DARK


def _pole(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """A street lamp, or a post with traffic lights, which are signs here."""
    pole = CLASS['pole']
    grey = np.clip(thing.colour.mean() * np.array([0.5, 0.52, 0.55], np.float32), 0.1, 0.5)
    thin = max(0.12, 0.9 / scale)
    lamp = thing.variant < 0.7
    side = -1.0 if thing.x > 0 else 1.0
    tall = 6.0 if lamp else 3.4
    yield (np.abs(u) < thin) & (v < tall), pole, grey, DARK
    if lamp:
        yield _box(u * side, v, 0.0, 1.3, 5.9 - thin, 5.9 + thin), pole, grey, DARK
        head = _box(u * side, v, 0.8, 1.4, 5.75 - thin, 5.95)
        yield head, pole, np.array([0.7, 0.7, 0.65], np.float32), (1.0, 0.85, 0.5)
        return
    sign = CLASS['traffic sign']
    black = np.array([0.07, 0.08, 0.07], np.float32)
    yield _box(u, v, -0.32, 0.32, 2.4, 3.6), sign, black, DARK
    on = int(thing.variant * 100) % 3
    colour = ((0.9, 0.1, 0.1), (0.9, 0.7, 0.1), (0.1, 0.8, 0.4))[on]
    radius = max(0.18, 0.7 / scale)
    bulb = _disc(u, v, 0.0, 3.3 - 0.3 * on, radius, radius)
    yield bulb, sign, np.array(colour, np.float32), colour


def _sign(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """A round, triangular or square sign, or its grey back."""
    sign = CLASS['traffic sign']
    grey = np.array([0.42, 0.43, 0.44], np.float32)
    yield (np.abs(u) < max(0.08, 0.7 / scale)) & (v < 2.3), CLASS['pole'], grey * 0.8, DARK
    shape = int(thing.variant * 3)
    if shape == 0:
        plate, inner = _disc(u, v, 0, 2.5, 0.48, 0.48), _disc(u, v, 0, 2.5, 0.28, 0.28)
    elif shape == 1:
        plate = (np.abs(u) < (2.95 - v) * 0.58) & (v > 2.15)
        inner = (np.abs(u) < (2.75 - v) * 0.58) & (v > 2.28)
    else:
        plate, inner = _box(u, v, -0.45, 0.45, 2.05, 2.95), _box(u, v, -0.2, 0.2, 2.3, 2.7)
    if (thing.variant * 13) % 1 < 0.15:
        yield plate, sign, grey, DARK
        return
    edge = np.array([0.1, 0.22, 0.6] if shape == 2 else [0.75, 0.1, 0.12], np.float32)
    # Signs throw light back at the headlights.
    yield plate, sign, edge, (edge[0] * 0.5, edge[1] * 0.5, edge[2] * 0.5)
    yield inner, sign, np.array([0.9, 0.9, 0.88], np.float32), (0.5, 0.5, 0.5)


def _tree(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """A trunk, vegetation although it looks like a pole, and a crown of five clumps."""
    green = CLASS['vegetation']
    bark = np.array([0.27, 0.23, 0.2], np.float32)
    trunk = max(0.06 + 0.14 * thing.variant, 0.6 / scale)
    yield (np.abs(u) < trunk) & (v < 3.6), green, bark, DARK
    crown = np.zeros(u.shape, bool)
    a = u + 0.15 * sample(layout.noise, u * 5, v * 5)
    b = v + 0.15 * sample(layout.noise, v * 5, u * 5)
    for i in range(5):
        angle = 40 * thing.variant + 1.256 * i
        wide = 1.0 + 0.5 * ((thing.variant * (7 + i)) % 1)
        crown |= _disc(a, b, 1.1 * np.sin(angle), 4.9 + 1.1 * np.cos(angle), wide, wide)
    flat = leaves(layout, (u + thing.x * 3).ravel(), (v + thing.z).ravel()).reshape(*u.shape, 3)
    yield crown, green, flat, DARK


def _bin(
    thing: Thing, layout: Layout, u: np.ndarray, v: np.ndarray, scale: float
) -> Iterator[Layer]:
    """A litter bin: belongs to no class."""
    yield _box(u, v, -0.35, 0.35, 0.0, 1.0), IGNORE, thing.colour * 0.6, DARK


DRAW: dict[str, Callable[[Thing, Layout, np.ndarray, np.ndarray, float], Iterator[Layer]]] = {
    'car': _car,
    'person': _person,
    'bicycle': _bicycle,
    'pole': _pole,
    'sign': _sign,
    'tree': _tree,
    'bin': _bin,
}
