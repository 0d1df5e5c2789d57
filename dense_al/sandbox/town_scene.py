"""All triangles of a street of the world `town`."""

from dataclasses import replace

import numpy as np

from dense_al.sandbox.town import MOVING
from dense_al.sandbox.town_layout import Layout
from dense_al.sandbox.town_meshes import Mesh, merge, moved, pose_of, quads
from dense_al.sandbox.town_profiles import Thing
from dense_al.sandbox.town_streets import KERB, WIDE, Street
from dense_al.sandbox.town_things import SHAPES

PATCH = 2.0  # metres of street that the ground is flat over
BUMP = 0.06  # standard deviation of the height of land, metres
DASH = (3.0, 5.0)  # length of lane markings and of what is between
GROUNDED = ('car', 'truck', 'bus', 'cyclist')  # tilt with the slope of the street
INSTANCE_SHIFT = 16
KINDS = (('road', 'asphalt'), ('sidewalk', 'paving'), ('terrain', 'grass'))


def build_static(layout: Layout, rng: np.random.Generator) -> Mesh:
    """The ground and all that stands.

    Args:
        layout: The street.
        rng: Source of randomness, for the ground.
    """
    meshes = [ground_mesh(layout.street, rng), _markings(layout.street)]
    for thing in layout.things:
        if not thing.moves:
            pose = place_thing(layout.street, thing, 0)
            if pose is not None:
                meshes.append(moved(shape_of(thing), pose))
    return merge(meshes)


def shape_of(thing: Thing) -> Mesh:
    """A thing around its own origin, with its instance and, if it moves, labels that say so."""
    mesh = SHAPES[thing.kind](np.random.default_rng(thing.seed), thing.size, thing.shade)
    label = mesh.label
    if thing.moves:
        for still, moving in MOVING.items():
            label = np.where(label == still, np.uint32(moving), label)
    return replace(mesh, label=label | np.uint32(thing.instance << INSTANCE_SHIFT))


def place_thing(street: Street, thing: Thing, frame: int) -> np.ndarray | None:
    """(4, 4) pose of a thing in a frame; None where it has left the street."""
    s, v = thing.s + frame * thing.speed[0], thing.v + frame * thing.speed[1]
    if not street.knots[0] < s < street.knots[-1]:
        return None
    if thing.moves:
        limit = street.half + 0.75 * street.walk  # who crosses the road stays on the other side
        v = float(np.clip(v, -limit, limit))
    place = street.locate(s, v) + (0, 0, street.level(s, v))
    tilt = float(street.slope(s)) if thing.kind in GROUNDED else 0.0
    yaw = float(street.direction(s)) + thing.turn
    return pose_of(place, yaw, tilt * np.cos(thing.turn), -tilt * np.sin(thing.turn))


def ground_mesh(street: Street, rng: np.random.Generator) -> Mesh:
    """Roads, sidewalks with kerbs, and uneven land.

    The ground is a grid in s and v; the edges of all roads and sidewalks are lines of it.
    """
    s, v = _grid_lines(street)
    kind = _ground_kinds(street, (s[1:, None] + s[:-1, None]) / 2, (v[1:] + v[:-1]) / 2)
    points = street.locate(*np.meshgrid(s, v, indexing='ij'))
    land = np.pad(kind == 2, 1)
    inside = land[1:, 1:] & land[1:, :-1] & land[:-1, 1:] & land[:-1, :-1]
    points[..., 2] += np.where(inside, rng.normal(0, BUMP, inside.shape), 0.0)
    corners = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2)
    corners[..., 2] += np.where(kind == 0, 0.0, KERB)[..., None]
    shades = rng.uniform(0.85, 1.15, len(KINDS))
    meshes = [quads(corners[kind == i], *names, shades[i]) for i, names in enumerate(KINDS)]
    meshes.append(quads(_kerbs(points, kind == 0), 'sidewalk', 'paving', shades[1]))
    return merge(meshes)


def _kerbs(points: np.ndarray, road: np.ndarray) -> np.ndarray:
    """(N, 4, 3) upright faces between the cells of the ground that are road and those that not."""
    across = np.stack([points[1:-1, :-1], points[1:-1, 1:]], axis=2)[road[1:] != road[:-1]]
    along = np.stack([points[:-1, 1:-1], points[1:, 1:-1]], axis=2)[road[:, 1:] != road[:, :-1]]
    low = np.concatenate([across, along])
    return np.concatenate([low, low[:, ::-1] + (0, 0, KERB)], axis=1)


def _grid_lines(street: Street) -> tuple[np.ndarray, np.ndarray]:
    """s and v of the lines of the ground."""
    edge = street.half + street.walk
    out = np.concatenate([[0, street.half, edge], np.linspace(edge, WIDE, 14)[1:]])
    borders = [
        crossing.s + sign * width
        for crossing in street.crossings
        for width in (crossing.half, crossing.half + street.walk)
        for sign in (-1, 1)
    ]
    s = np.unique([*np.arange(street.knots[0], street.knots[-1], PATCH), *borders])
    return s, np.unique([*-out, *out])


def _ground_kinds(street: Street, s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Index into `KINDS` of places, of the broadcast shape of s and v."""
    s, v = np.broadcast_arrays(s, v)
    walk = street.is_road(s, v, margin=street.walk)
    return np.where(street.is_road(s, v), 0, np.where(walk, 1, 2))


def _markings(street: Street) -> Mesh:
    """Dashes along the middle of the road, none across side streets."""
    starts = np.arange(street.knots[0] + 1, street.knots[-1] - 5, sum(DASH))
    free = [a for a in starts if not any(street.opens(a + 1.5, side, 2.0) for side in (1, -1))]
    along = np.array(free)[:, None] + (0, DASH[0], DASH[0], 0)
    corners = street.locate(along, np.broadcast_to([-0.07, -0.07, 0.07, 0.07], along.shape))
    corners[..., 2] += 0.012
    return quads(corners, 'lane-marking', 'marking')
