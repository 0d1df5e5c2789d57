"""Triangles of the world `town`: what they are made of, and the solids that things consist of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dense_al.sandbox.town import RAW


class Material(NamedTuple):
    """How a surface answers a ray.

    Attributes:
        reflectance: Intensity at a right angle nearby.
        rough: Standard deviation of the range beyond that of the sensor, metres.
        loss: Probability that no ray returns, beyond what the sensor loses.
        retro: Whether it sends light back at any angle.
    """

    reflectance: float
    rough: float
    loss: float
    retro: bool = False


MATERIALS: dict[str, Material] = {
    'asphalt': Material(0.22, 0.004, 0.0),
    'paving': Material(0.36, 0.006, 0.0),
    'marking': Material(0.75, 0.004, 0.0),
    'grass': Material(0.31, 0.025, 0.0),
    'wall': Material(0.42, 0.004, 0.0),
    'glass': Material(0.07, 0.004, 0.6),
    'leaf': Material(0.34, 0.02, 0.05),
    'bark': Material(0.24, 0.01, 0.0),
    'metal': Material(0.40, 0.003, 0.0),
    'foil': Material(0.90, 0.003, 0.0, retro=True),
    'wood': Material(0.38, 0.005, 0.0),
    'paint': Material(0.38, 0.003, 0.04),
    'rubber': Material(0.07, 0.004, 0.25),
    'cloth': Material(0.42, 0.01, 0.0),
}
MATERIAL_NAMES = tuple(MATERIALS)


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes:
        vertices: (V, 3) float64, metres.
        triangles: (T, 3) int64 indices of vertices.
        label: (T,) uint32, annotated label, with the instance in the upper 16 bits.
        material: (T,) uint8 index into `MATERIALS`.
        shade: (T,) float32 factor on the reflectance.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    label: np.ndarray
    material: np.ndarray
    shade: np.ndarray


def make_mesh(
    vertices: np.ndarray,
    triangles: np.ndarray,
    label: str,
    material: str,
    shade: float | np.ndarray = 1.0,
) -> Mesh:
    """A mesh of one label (by its name) and one material."""
    n = len(triangles)
    return Mesh(
        vertices=np.asarray(vertices, np.float64),
        triangles=np.asarray(triangles, np.int64),
        label=np.full(n, RAW[label], np.uint32),
        material=np.full(n, MATERIAL_NAMES.index(material), np.uint8),
        shade=np.broadcast_to(np.float32(shade), n),
    )


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles of some meshes, in their order."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate([m.triangles + start for m, start in zip(meshes, starts)]),
        label=np.concatenate([mesh.label for mesh in meshes]),
        material=np.concatenate([mesh.material for mesh in meshes]),
        shade=np.concatenate([mesh.shade for mesh in meshes]),
    )


def moved(mesh: Mesh, pose: np.ndarray) -> Mesh:
    """A mesh turned and shifted by a pose (4, 4)."""
    return replace(mesh, vertices=mesh.vertices @ pose[:3, :3].T + pose[:3, 3])


def pose_of(place: np.ndarray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """(4, 4) float64 pose: roll about x, then pitch (up is positive) about y, then yaw about z."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, -pitch, roll))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    pose = np.eye(4)
    pose[:3, :3] = about_z @ about_y @ about_x
    pose[:3, 3] = place
    return pose


_BOX_QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_BOX_TRIANGLES = np.array([t for a, b, c, d in _BOX_QUADS for t in ((a, b, c), (a, c, d))])


def box(
    low: Sequence[float], high: Sequence[float], label: str, material: str, shade: float = 1.0
) -> Mesh:
    """A box between two corners."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    vertices = np.where(corners, np.asarray(high, float), np.asarray(low, float))
    return make_mesh(vertices, _BOX_TRIANGLES, label, material, shade)


def frustum(
    bottom: Sequence[float],
    top: Sequence[float],
    z: tuple[float, float],
    label: str,
    material: str,
    shade: float = 1.0,
) -> Mesh:
    """A box whose bottom and top, each (x from, x to, y from, y to), are of different size."""
    vertices = [
        (rect[i], rect[2 + j], z[k])
        for i in (0, 1)
        for j in (0, 1)
        for k, rect in enumerate((bottom, top))
    ]
    return make_mesh(np.array(vertices, float), _BOX_TRIANGLES, label, material, shade)


def cylinder(
    radius: float | tuple[float, float],
    ends: tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray],
    label: str,
    material: str,
    shade: float = 1.0,
    sides: int = 8,
) -> Mesh:
    """A closed cylinder or cone between the middles of its two ends.

    Args:
        radius: Of both ends, or of each.
        ends: x, y, z of the middles.
        label: Name of an annotated label.
        material: One of `MATERIALS`.
        shade: Factor on the reflectance.
        sides: Number of flat sides.
    """
    first, last = (np.asarray(end, float) for end in ends)
    axis = (last - first) / np.linalg.norm(last - first)
    across = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
    across /= np.linalg.norm(across)
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.outer(np.cos(angle), across) + np.outer(np.sin(angle), np.cross(axis, across))
    radii = radius if isinstance(radius, tuple) else (radius, radius)
    vertices = np.vstack([first + radii[0] * ring, last + radii[1] * ring, first, last])
    i = np.arange(sides)
    j = (i + 1) % sides
    centre = np.full(sides, 2 * sides)
    triangles = [(i, j, i + sides), (j, j + sides, i + sides), (j, i, centre)]
    triangles.append((i + sides, j + sides, centre + 1))
    faces = np.concatenate([np.stack(t, axis=-1) for t in triangles])
    return make_mesh(vertices, faces, label, material, shade)


def blob(centre: Sequence[float], radii: Sequence[float], label: str, material: str) -> Mesh:
    """A coarse ellipsoid: three rings of six corners between two poles."""
    down, around = np.meshgrid(np.pi * np.array([0.25, 0.5, 0.75]), np.pi * np.arange(6) / 3)
    rings = (np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down))
    points = np.concatenate([np.stack([r.T.ravel() for r in rings], -1), [(0, 0, 1), (0, 0, -1)]])
    i = np.arange(6)
    j = (i + 1) % 6
    triangles = [(0 * i + 18, i, j), (0 * i + 19, j + 12, i + 12)]
    for k in (0, 6):
        triangles += [(i + k, i + k + 6, j + k), (j + k, i + k + 6, j + k + 6)]
    faces = np.concatenate([np.stack(t, axis=-1) for t in triangles])
    vertices = np.asarray(centre, float) + points * np.asarray(radii, float)
    return make_mesh(vertices, faces, label, material)


def quads(corners: np.ndarray, label: str, material: str, shade: float = 1.0) -> Mesh:
    """Flat four-cornered panels.

    Args:
        corners: (N, 4, 3), around each panel.
        label: Name of an annotated label.
        material: One of `MATERIALS`.
        shade: Factor on the reflectance.
    """
    first = 4 * np.arange(len(corners))[:, None]
    triangles = np.concatenate([first + (0, 1, 2), first + (0, 2, 3)], axis=1).reshape(-1, 3)
    return make_mesh(corners.reshape(-1, 3), triangles, label, material, shade)


def leaves(rng: np.random.Generator, centres: np.ndarray, size: float, shade: float) -> Mesh:
    """Triangles in random directions, between which rays pass.

    Args:
        rng: Source of randomness.
        centres: (N, 3) where they are.
        size: Metres from the middle of one to its corners.
        shade: Factor on the reflectance.
    """
    corners = rng.normal(0, 1, (len(centres), 3, 3))
    corners -= corners.mean(axis=1, keepdims=True)
    corners *= size / np.maximum(np.linalg.norm(corners, axis=2, keepdims=True), 1e-6)
    vertices = (centres[:, None] + corners).reshape(-1, 3)
    triangles = np.arange(3 * len(centres)).reshape(-1, 3)
    shades = shade * rng.uniform(0.75, 1.25, len(centres)).astype(np.float32)
    return make_mesh(vertices, triangles, 'vegetation', 'leaf', shades)
