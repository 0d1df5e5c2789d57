"""The sensor of the world `town`: rays from a car that drives along a street."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from dense_al.sandbox.spec import is_int
from dense_al.sandbox.town import RAW, TOWN_SPLITS, TownSpec, check_sequence
from dense_al.sandbox.town_layout import Layout, draw_layout
from dense_al.sandbox.town_meshes import MATERIALS, Mesh, merge, moved, pose_of
from dense_al.sandbox.town_profiles import Thing
from dense_al.sandbox.town_scene import build_static, place_thing, shape_of

SENSOR_HEIGHT = 1.73
NEAREST = 1.0  # metres
BEAM_ENDS = ((2.0, -8.5), (-9.0, -24.8))  # degrees of the first and last beam of each half
TILT = np.radians([0.35, 0.35, 0.25])  # largest sway about x, y, z
OUTLIERS = 0.0005  # share of rays that return from nothing
FADE = 45.0  # metres at which intensity is half
# What a stream of randomness is for.
LAYOUT, GROUND, DRIVE, NOISE, CALIBRATION = range(5)


@dataclass(frozen=True, eq=False)
class TownScan:
    """One turn of the sensor.

    Attributes:
        points: (N, 4) float32 x (ahead), y (left), z (up) in metres from the sensor, intensity in
            0..1; beam by beam from the top, each clockwise from behind.
        label: (N,) uint32 annotated label, with the instance in the upper 16 bits.
    """

    points: np.ndarray
    label: np.ndarray


@dataclass(frozen=True, eq=False)
class _Scene:
    """What the rays of a sequence meet.

    Attributes:
        layout: The street.
        static: All that stands.
        caster: open3d's scene of the same triangles.
        movers: Things that move, each around its own origin.
        poses: (F, 4, 4) sensor to street.
    """

    layout: Layout
    static: Mesh
    caster: Any
    movers: tuple[tuple[Thing, Mesh], ...]
    poses: np.ndarray


@dataclass(frozen=True)
class _Hits:
    """Where rays end: (R,) distance (inf: nowhere), label, material, shade, |cos| of incidence."""

    distance: np.ndarray
    label: np.ndarray
    material: np.ndarray
    shade: np.ndarray
    cosine: np.ndarray


def stream(spec: TownSpec, split: str, sequence: int, *purpose: int) -> np.random.Generator:
    """The source of randomness for one purpose (and frame) in one sequence."""
    return np.random.default_rng([spec.seed, TOWN_SPLITS.index(split), sequence, *purpose])


def scan_town(spec: TownSpec, split: str, sequence: int, frame: int) -> TownScan:
    """One scan of a sequence.

    Args:
        spec: The world.
        split: `train` or `val`.
        sequence: Index in the split, from 0; it may exceed the count of the split.
        frame: From 0, less than the frames of the split.

    Raises:
        ValueError: No such split, sequence or frame.
        ImportError: open3d cannot be imported; it comes with the extra `lidar`.
    """
    _check_frame(spec, split, sequence, frame)
    scene = _open_scene(spec, split, sequence)
    rng = stream(spec, split, sequence, NOISE, frame)
    local = _rays(spec, rng)
    hits = _cast(scene, frame, local)
    return _sense(spec, local, hits, rng)


def town_poses(spec: TownSpec, split: str, sequence: int) -> np.ndarray:
    """Where the sensor is.

    Args:
        spec: The world.
        split: `train` or `val`.
        sequence: Index in the split, from 0.

    Returns:
        (F, 4, 4) float64, sensor to sensor in frame 0, in metres.
    """
    check_sequence(split, sequence)
    poses = _sensor_poses(spec, split, sequence, _layout(spec, split, sequence))
    return np.linalg.inv(poses[0]) @ poses


def _check_frame(spec: TownSpec, split: str, sequence: int, frame: int) -> None:
    check_sequence(split, sequence)
    if not is_int(frame) or not 0 <= frame < spec.length(split):
        raise ValueError(
            f'Expected `frame` to be an integer from 0 to {spec.length(split) - 1}, '
            f'but got {frame!r}'
        )


def _layout(spec: TownSpec, split: str, sequence: int) -> Layout:
    rng = stream(spec, split, sequence, LAYOUT)
    return draw_layout(rng, split, sequence, spec.length(split), spec.step)


def _sensor_poses(spec: TownSpec, split: str, sequence: int, layout: Layout) -> np.ndarray:
    """(F, 4, 4) sensor to street: along the drive, with the slope, swaying a little."""
    rng = stream(spec, split, sequence, DRIVE)
    street, (s, v) = layout.street, layout.drive.T
    places = street.locate(s, v) + (0, 0, SENSOR_HEIGHT)
    frame = np.arange(len(s))[:, None]
    sway = TILT * np.sin(2 * np.pi * (frame / rng.uniform(9, 25, 3) + rng.random(3)))
    yaw, pitch = street.direction(s) + sway[:, 2], street.slope(s) + sway[:, 1]
    rows = zip(places, yaw, pitch, sway[:, 0])
    return np.stack([pose_of(place, *angles) for place, *angles in rows])


@functools.lru_cache(maxsize=2)
def _open_scene(spec: TownSpec, split: str, sequence: int) -> _Scene:
    """The scene of a sequence, kept for its next frame."""
    layout = _layout(spec, split, sequence)
    static = build_static(layout, stream(spec, split, sequence, GROUND))
    return _Scene(
        layout=layout,
        static=static,
        caster=_caster(static),
        movers=tuple((thing, shape_of(thing)) for thing in layout.things if thing.moves),
        poses=_sensor_poses(spec, split, sequence, layout),
    )


def _caster(mesh: Mesh) -> Any:
    """Triangles in open3d, for rays; one thread, so that all runs build the same."""
    scene = _open3d().t.geometry.RaycastingScene(nthreads=1)
    triangles = mesh.triangles.astype(np.uint32)
    scene.add_triangles(_tensor(mesh.vertices.astype(np.float32)), _tensor(triangles))
    return scene


def _tensor(array: np.ndarray) -> Any:
    return _open3d().core.Tensor.from_numpy(np.ascontiguousarray(array))


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:  # OSError: libraries of the system are missing
        raise ImportError(
            f'Could not import open3d ({error}). It comes with the extra `lidar`; on Debian and '
            'Ubuntu it needs the packages libusb-1.0-0, libgl1 and libegl1'
        ) from error
    return open3d


def beam_elevations(spec: TownSpec) -> np.ndarray:
    """(beams,) float64 radians above the horizon, from the top."""
    upper = (spec.beams + 1) // 2
    counts = (upper, spec.beams - upper)
    halves = [np.linspace(*ends, count) for ends, count in zip(BEAM_ENDS, counts)]
    return np.radians(np.concatenate(halves))


def _rays(spec: TownSpec, rng: np.random.Generator) -> np.ndarray:
    """(beams * columns, 3) directions from the sensor, unit length, beam by beam."""
    elevation = beam_elevations(spec)[:, None]
    turn = (np.arange(spec.columns) + rng.random()) / spec.columns
    azimuth = np.pi - 2 * np.pi * turn[None]
    flat = np.cos(elevation)
    parts = (flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation) + 0 * azimuth)
    return np.stack(parts, axis=-1).reshape(-1, 3)


def _cast(scene: _Scene, frame: int, local: np.ndarray) -> _Hits:
    """What each ray of a frame meets first, of what stands and what moves."""
    pose = scene.poses[frame]
    directions = local @ pose[:3, :3].T
    origins = np.broadcast_to(pose[:3, 3], directions.shape)
    rays = _tensor(np.hstack([origins, directions]).astype(np.float32))
    hits = _hits(scene.caster, scene.static, rays, directions)
    places = [place_thing(scene.layout.street, thing, frame) for thing, _ in scene.movers]
    present = [moved(m, p) for (_, m), p in zip(scene.movers, places) if p is not None]
    if not present:
        return hits
    mesh = merge(present)
    moving = _hits(_caster(mesh), mesh, rays, directions)
    nearer = moving.distance < hits.distance
    pairs = [(getattr(moving, f.name), getattr(hits, f.name)) for f in dataclasses.fields(_Hits)]
    return _Hits(*(np.where(nearer, there, here) for there, here in pairs))


def _hits(caster: Any, mesh: Mesh, rays: Any, directions: np.ndarray) -> _Hits:
    """What rays meet of one mesh."""
    result = caster.cast_rays(rays)
    distance = result['t_hit'].numpy().astype(np.float64)
    triangle = np.where(np.isfinite(distance), result['primitive_ids'].numpy(), 0)
    normal = result['primitive_normals'].numpy()
    return _Hits(
        distance=distance,
        label=mesh.label[triangle],
        material=mesh.material[triangle],
        shade=mesh.shade[triangle],
        cosine=np.abs(np.einsum('rk,rk->r', normal, directions)),
    )


def _sense(spec: TownSpec, local: np.ndarray, hits: _Hits, rng: np.random.Generator) -> TownScan:
    """What the sensor makes of its rays: some are lost, ranges and intensities are noisy."""
    table = np.array(list(MATERIALS.values()), np.float64)[hits.material]
    reflectance, rough, loss, retro = table.T
    noise = rng.normal(0, 1, (2, len(local)))
    chance = rng.random((3, len(local)))
    distance = np.where(np.isfinite(hits.distance), hits.distance, 2 * spec.max_range)
    far = distance / spec.max_range
    cosine = np.where(retro > 0, 1.0, hits.cosine)
    lost = loss + spec.dropout * (1 + 4 * far**2 + 6 * (1 - cosine) ** 8)
    seen = (chance[0] >= lost) & (distance >= NEAREST) & (distance <= spec.max_range)
    distance = distance + noise[0] * np.hypot(spec.noise * (1 + 0.5 * far), rough)
    power = reflectance * hits.shade * (0.25 + 0.75 * cosine) / (1 + (distance / FADE) ** 2)
    intensity = np.clip(power + 0.02 * noise[1], 0, 0.99)
    label = hits.label
    outlier = chance[1] < OUTLIERS
    distance = np.where(outlier, NEAREST + chance[2] * distance, distance)
    label = np.where(outlier, np.uint32(RAW['outlier']), label)
    seen |= outlier
    points = np.column_stack([local * distance[:, None], intensity])
    return TownScan(points[seen].astype(np.float32), label[seen].astype(np.uint32))
