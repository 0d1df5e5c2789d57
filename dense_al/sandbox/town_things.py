"""Shapes of the things of the world `town`.

Each shape is a function of a source of randomness, a size (length, width, height in metres) and a
shade (factor on the reflectance). It stands on z = 0 around the origin and looks along x.
"""

from collections.abc import Callable

import numpy as np

from dense_al.sandbox.town_meshes import (
    Mesh,
    blob,
    box,
    cylinder,
    frustum,
    leaves,
    merge,
    quads,
)

Size = tuple[float, float, float]
Ends = tuple[Size, Size]
SIGN = 'traffic-sign'
STOREY = 2.9  # metres


def _wheels(label: str, places: list[tuple[float, float]], radius: float) -> list[Mesh]:
    """Wheels at x, y, which turn about y."""
    return [
        cylinder(radius, ((x, y - 0.1, radius), (x, y + 0.1, radius)), label, 'rubber')
        for x, y in places
    ]


def _four(length: float, width: float) -> list[tuple[float, float]]:
    """Where the wheels of a vehicle stand."""
    return [(i * 0.31 * length, j * (width / 2 - 0.12)) for i in (-1, 1) for j in (-1, 1)]


def car(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A body, a cabin of glass with a roof, four wheels; a high one is a van."""
    length, width, height = size
    x, y = length / 2, width / 2
    van = height > 1.75
    belt = height * (0.55 if van else rng.uniform(0.57, 0.64))
    sill, middle = (-x, x, -y, y), (-0.97 * x, 0.94 * x, -y, y)
    waist = (-0.95 * x, 0.8 * x, -0.93 * y, 0.93 * y)
    front, back = (0.62, 0.95) if van else (0.4, rng.uniform(0.7, 0.95))
    slant = 0.06 if van else 0.28
    bottom = (-back * x, front * x, -0.92 * y, 0.92 * y)
    top = (-(back - slant / 2) * x, (front - slant) * x, -0.75 * y, 0.75 * y)
    roof = ((top[0], top[2], height - 0.05), (top[1], top[3], height))
    parts = [
        frustum(sill, middle, (0.2, 0.75 * belt), 'car', 'paint', shade),
        frustum(middle, waist, (0.75 * belt, belt), 'car', 'paint', shade),
        frustum(bottom, top, (belt, height - 0.04), 'car', 'glass'),
        box(*roof, 'car', 'paint', shade),
    ]
    if van:
        load = ((-0.95 * x, -0.9 * y, belt), (0.1 * x, 0.9 * y, height - 0.03))
        parts.append(box(*load, 'car', 'paint', shade))
    return merge(parts + _wheels('car', _four(length, width), 0.32))


def truck(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A cab, a cargo box on a chassis, six wheels."""
    length, width, height = size
    x, y = length / 2, width / 2
    cab, floor = x - rng.uniform(1.9, 2.4), rng.uniform(0.9, 1.1)
    roof = min(height, 2.8)
    wheels = [(i * x, j * (y - 0.2)) for i in (-0.72, -0.42, 0.68) for j in (-1, 1)]
    parts = [
        box((-x, -0.4 * y, 0.55), (x - 0.3, 0.4 * y, floor), 'truck', 'metal', 0.5),
        box((-x, -y, floor), (cab - 0.25, y, height), 'truck', 'paint', shade),
        box((cab, -0.95 * y, 0.45), (x, 0.95 * y, 0.55 * roof), 'truck', 'paint', shade),
        frustum(
            (cab, x, -0.95 * y, 0.95 * y),
            (cab, x - 0.3, -0.9 * y, 0.9 * y),
            (0.55 * roof, roof - 0.1),
            'truck',
            'glass',
        ),
        box((cab, -0.9 * y, roof - 0.1), (x - 0.3, 0.9 * y, roof), 'truck', 'paint', shade),
    ]
    return merge(parts + _wheels('truck', wheels, 0.48))


def bus(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A long box with a band of windows."""
    length, width, height = size
    x, y = length / 2, width / 2
    sill, head = 1.15, height - 0.6
    parts = [
        box((-x, -y, 0.3), (x, y, sill), 'bus', 'paint', shade),
        box((-x, -0.98 * y, sill), (x - 0.05, 0.98 * y, head), 'bus', 'glass'),
        box((-x, -y, head), (x, y, height), 'bus', 'paint', shade),
    ]
    # Pillars between the windows.
    for at in np.linspace(-x, x - 0.3, 7):
        parts.append(box((at, -y, sill), (at + 0.3, y, head), 'bus', 'paint', shade))
    return merge(parts + _wheels('bus', _four(1.05 * length, width), 0.45))


def person(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """Legs in a stride, a body with arms, a head."""
    tall = size[2]
    hip, neck, stride = 0.47 * tall, 0.82 * tall, rng.uniform(0.05, 0.28)
    parts = [
        cylinder((0.07, 0.09), ((s * stride, 0.1 * s, 0), (0, 0.08 * s, hip)), 'person', 'cloth')
        for s in (-1, 1)
    ]
    for s in (-1, 1):
        arm = ((-s * stride, 0.28 * s, hip), (0, 0.2 * s, neck - 0.05))
        parts.append(cylinder((0.05, 0.06), arm, 'person', 'cloth', shade))
    parts += [
        frustum(
            (-0.11, 0.11, -0.16, 0.16),
            (-0.12, 0.12, -0.22, 0.22),
            (hip - 0.03, neck),
            'person',
            'cloth',
            shade,
        ),
        blob((0.02, 0, tall - 0.13), (0.11, 0.1, 0.14), 'person', 'cloth'),
    ]
    return merge(parts)


def cyclist(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """Somebody on a bicycle; both are one thing."""
    label = 'bicyclist'
    lean = rng.uniform(0.15, 0.45)
    parts = [
        cylinder(0.34, ((x, -0.025, 0.34), (x, 0.025, 0.34)), label, 'rubber', 4.0, sides=12)
        for x in (-0.53, 0.53)
    ]
    bars: list[Ends] = [((-0.53, 0, 0.34), (-0.15, 0, 0.85)), ((-0.15, 0, 0.8), (0.42, 0, 0.85))]
    bars += [((0.53, 0, 0.34), (0.4, 0, 1.0)), ((-0.05, 0, 0.3), (0.42, 0, 0.8))]
    bars += [((0.4, -0.28, 1.02), (0.4, 0.28, 1.02))]
    parts += [cylinder(0.03, bar, label, 'metal', sides=5) for bar in bars]
    shoulder = (lean - 0.12, 0.0, 1.42)
    for side in (-1, 1):
        knee = (0.18, 0.12 * side, 0.68 + 0.12 * side)
        thigh, shin = ((-0.15, 0.1 * side, 0.92), knee), (knee, (0.0, 0.1 * side, knee[2] - 0.42))
        arm = ((lean - 0.12, 0.2 * side, 1.38), (0.4, 0.25 * side, 1.05))
        parts += [cylinder(0.07, limb, label, 'cloth') for limb in (thigh, shin)]
        parts.append(cylinder(0.05, arm, label, 'cloth', shade))
    parts.append(cylinder((0.17, 0.2), ((-0.18, 0, 0.9), shoulder), label, 'cloth', shade))
    parts.append(blob((lean - 0.05, 0, 1.6), (0.12, 0.1, 0.15), label, 'cloth'))
    return merge(parts)


def lamp(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A pole with an arm along x that holds a lamp."""
    arm, width, height = size
    return merge(
        [
            cylinder((width, 0.6 * width), ((0, 0, -0.3), (0, 0, height)), 'pole', 'metal', shade),
            cylinder(0.05, ((0, 0, height - 0.1), (arm, 0, height + 0.1)), 'pole', 'metal', shade),
            box((arm - 0.3, -0.15, height), (arm + 0.3, 0.15, height + 0.12), 'pole', 'metal'),
        ]
    )


def sign(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A round, triangular or rectangular plate on a pole; it faces both ways along x."""
    _, width, height = size
    low, middle = height - width, height - width / 2
    pole = cylinder(0.04, ((0, 0, -0.3), (0, 0, height)), 'pole', 'metal', shade)
    corners = (4, 3, 12, 12)[rng.integers(4)]
    if corners == 4:
        plate = box((-0.06, -0.65 * width, low), (0.06, 0.65 * width, height), SIGN, 'foil')
    else:
        ends = ((-0.06, 0, middle), (0.06, 0, middle))
        plate = cylinder(width / 2, ends, SIGN, 'foil', sides=corners)
    return merge([pole, plate])


def bollard(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A short thick pole."""
    _, width, height = size
    return cylinder(width, ((0, 0, -0.2), (0, 0, height)), 'pole', 'metal', shade)


def bin_(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A bin: something that belongs to no class."""
    x, y, height = size[0] / 2, size[1] / 2, size[2]
    bottom = (-0.8 * x, 0.8 * x, -0.8 * y, 0.8 * y)
    return frustum(bottom, (-x, x, -y, y), (-0.1, height), 'other-object', 'paint', shade)


def tree(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A trunk that leans a little, and a crown of loose leaves; `size` 1 is what is bare below."""
    width, bare, height = size
    thick = 0.018 * height + 0.03
    fork = (*rng.normal(0, 0.06, 2), bare + 0.25 * (height - bare))
    trunk = cylinder((1.3 * thick, 0.8 * thick), ((0, 0, -0.3), fork), 'trunk', 'bark', shade)
    middle = (bare + height) / 2
    radii = np.array([width / 2, width / 2, (height - bare) / 2 + 0.2])
    direction = rng.normal(0, 1, (int(60 * width**1.6), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Most leaves are near the surface; lumps make each crown a shape of its own.
    depth = rng.uniform(0.35, 1, len(direction)) ** 0.5
    lumps = 1 + 0.18 * np.sin(direction @ rng.normal(0, 3, (3, 2)) + rng.uniform(0, 6, 2)).sum(1)
    centres = (0, 0, middle) + direction * radii * (depth * lumps)[:, None]
    return merge([trunk, leaves(rng, centres, 0.33, shade)])


def conifer(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A cone of needles on a short trunk; `size` 1 is what is bare below."""
    width, bare, height = size
    up = 1 - np.sqrt(rng.random(int(90 * width**1.5)))
    angle = rng.uniform(0, 2 * np.pi, len(up))
    reach = width / 2 * (1 - up) * rng.uniform(0.4, 1, len(up)) ** 0.5
    centres = np.stack(
        [reach * np.cos(angle), reach * np.sin(angle), bare + up * (height - bare)], axis=-1
    )
    stem = cylinder(0.15, ((0, 0, -0.3), (0, 0, bare + 0.4)), 'trunk', 'bark', shade)
    return merge([stem, leaves(rng, centres, 0.3, shade)])


def bush(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A dome of leaves on the ground."""
    direction = rng.normal(0, 1, (int(110 * size[0] * size[2]) + 30, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction[:, 2] = np.abs(direction[:, 2])
    radii = np.array([size[0] / 2, size[1] / 2, size[2]])
    depth = rng.uniform(0.4, 1, len(direction)) ** 0.5
    return leaves(rng, direction * radii * depth[:, None], 0.16, shade)


def hedge(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A dense row of leaves along x."""
    length, width, height = size
    core = box(
        (-length / 2, -0.35 * width, -0.2),
        (length / 2, 0.35 * width, 0.9 * height),
        'vegetation',
        'leaf',
        shade,
    )
    at = rng.uniform(-1, 1, (int(70 * length * (height + width)), 3))
    on_top = rng.random(len(at)) < width / (width + 2 * height)
    at[:, 2] = np.where(on_top, rng.uniform(0.9, 1, len(at)), (at[:, 2] + 1) / 2)
    side = np.sign(at[:, 1]) * rng.uniform(0.7, 1, len(at))
    at[:, 1] = np.where(on_top, at[:, 1], side)
    centres = at * (length / 2, width / 2, height)
    return merge([core, leaves(rng, centres, 0.13, shade)])


def fence(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """Slats or rails between posts, or a low wall, along x; `size` 1 is the gap between slats."""
    length, gap, height = size
    x = length / 2
    if gap == 0:
        return box((-x, -0.1, -0.3), (x, 0.1, height), 'fence', 'wall', shade)
    posts = [
        box((at - 0.05, -0.05, -0.3), (at + 0.05, 0.05, height), 'fence', 'wood', shade)
        for at in np.linspace(-x + 0.05, x - 0.05, max(2, round(length / 2.4) + 1))
    ]
    rails = [
        box((-x, -0.03, z - 0.05), (x, 0.03, z + 0.05), 'fence', 'wood', shade)
        for z in (0.25 * height, 0.85 * height)
    ]
    left = np.arange(-x, x - 0.1, 0.1 + gap)
    low, high = 0.08, height - 0.05
    corners = np.zeros((len(left), 4, 3))
    corners[:, :, 0] = left[:, None] + (0, 0.1, 0.1, 0)
    corners[:, :, 1] = 0.035
    corners[:, :, 2] = (low, low, high, high)
    return merge([*posts, *rails, quads(corners, 'fence', 'wood', shade)])


def _windows(length: float, height: float, lift: float) -> np.ndarray:
    """(N, 4, 3) windows of a wall along x at y = 0, which looks along -y."""
    count = max(1, int(length / 2.6))
    columns = np.arange(0.5, count) / count - 0.5
    floors = np.arange(max(1, int((height - 0.8) / STOREY)))
    x, floor = (a.ravel() for a in np.meshgrid(columns * length, floors))
    z = lift + STOREY * floor
    corners = np.zeros((len(x), 4, 3))
    corners[:, :, 0] = x[:, None] + np.array([-0.55, 0.55, 0.55, -0.55])
    corners[:, :, 2] = z[:, None] + np.array([0.0, 0.0, 1.4, 1.4])
    return corners


def building(rng: np.random.Generator, size: Size, shade: float) -> Mesh:
    """A house with windows; it looks along -y; low ones have a gable roof, high ones balconies."""
    length, depth, height = size
    x, y = length / 2, depth / 2
    parts = [box((-x, -y, -2.0), (x, y, height), 'building', 'wall', shade)]
    front = _windows(length, height, rng.uniform(0.9, 1.3))
    parts.append(quads(front - (0, y + 0.02, 0), 'building', 'glass'))
    flank = _windows(depth, height, 1.1)[:, :, [1, 0, 2]]
    for side in (-1, 1):
        parts.append(quads(flank + (side * (x + 0.02), 0, 0), 'building', 'glass'))
    door = rng.uniform(-0.6, 0.6) * x
    parts.append(
        box((door - 0.8, -y - 0.35, -0.5), (door + 0.8, -y, 2.5), 'building', 'wall', 0.8 * shade)
    )
    if height < 8.5:
        ridge = height + rng.uniform(1.8, 3.2)
        eaves = (-x - 0.3, x + 0.3, -y - 0.4, y + 0.4)
        roof = (-x - 0.3, x + 0.3, -0.02, 0.02)
        parts.append(frustum(eaves, roof, (height - 0.1, ridge), 'building', 'wall', 0.6))
    else:
        parts += _balconies(rng, size, shade)
    return merge(parts)


def _balconies(rng: np.random.Generator, size: Size, shade: float) -> list[Mesh]:
    """Balconies on the upper floors of a house, each a floor and a rail."""
    x, y = size[0] / 2, size[1] / 2
    parts = []
    for floor in range(1, int((size[2] - 1) / STOREY)):
        z = STOREY * floor + 0.2
        for at in np.arange(-x + 2.5, x - 2, 5.2)[:: 1 + int(rng.integers(2))]:
            low, high = (at - 1.1, -y - 0.9, z), (at + 1.1, -y, z + 0.15)
            rail = (high[0], low[1] + 0.05, z + 1.0)
            parts.append(box(low, high, 'building', 'wall', shade))
            parts.append(box(low, rail, 'building', 'metal'))
    return parts


SHAPES: dict[str, Callable[[np.random.Generator, Size, float], Mesh]] = {
    'bin': bin_,
    'bollard': bollard,
    'building': building,
    'bus': bus,
    'bush': bush,
    'car': car,
    'conifer': conifer,
    'cyclist': cyclist,
    'fence': fence,
    'hedge': hedge,
    'lamp': lamp,
    'person': person,
    'sign': sign,
    'tree': tree,
    'truck': truck,
}
