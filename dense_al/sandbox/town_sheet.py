"""A picture of the world `town`."""

import numpy as np

from dense_al.sandbox.town import (
    TOWN_PALETTE,
    TOWN_SPLITS,
    TownSpec,
    town_class_of,
)
from dense_al.sandbox.town_scan import TownScan, beam_elevations, scan_town, town_poses

METRES = 40.0  # that the view from above shows to each side
SIDE = 480  # pixels of the view from above
EVERY = 4  # frames from one scan seen from above to the next
ROW = 3  # least pixels of a beam
DARK = (24, 24, 28)
UNKNOWN = (255, 255, 255)


def town_sheet(spec: TownSpec, per_split: int = 8, columns: int = 4) -> np.ndarray:
    """A picture of sequences, split by split: each from above, and as the sensor sees it.

    From above, scans of the whole sequence lie over each other, around the middle one. Below it
    that scan has a row per beam and looks ahead in its middle: classes, then intensities.

    Args:
        spec: The world.
        per_split: First sequences of each split.
        columns: Sequences side by side.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    blank = np.full((SIDE + 2 * spec.beams * _zoom(spec), SIDE, 3), DARK, np.uint8)
    rows = []
    for split in TOWN_SPLITS:
        tiles = [_tile(spec, split, i) for i in range(min(per_split, spec.count(split)))]
        tiles += [blank] * (-len(tiles) % columns)
        rows += [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows) if rows else blank


def _zoom(spec: TownSpec) -> int:
    return max(1, ROW * 32 // spec.beams)


def _tile(spec: TownSpec, split: str, sequence: int) -> np.ndarray:
    middle = spec.length(split) // 2
    poses = town_poses(spec, split, sequence)
    to_middle = np.linalg.inv(poses[middle]) @ poses
    points, colours = [], []
    for frame in range(middle % EVERY, spec.length(split), EVERY):
        scan = scan_town(spec, split, sequence, frame)
        turn, shift = to_middle[frame, :3, :3], to_middle[frame, :3, 3]
        points.append(scan.points[:, :3] @ turn.T + shift)
        colours.append(_colours(scan))
    scan = scan_town(spec, split, sequence, middle)
    grey = np.repeat((255 * np.sqrt(scan.points[:, 3:])).astype(np.uint8), 3, axis=1)
    views = [_from_sensor(spec, scan.points, c) for c in (_colours(scan), grey)]
    return np.vstack([_from_above(np.concatenate(points), np.concatenate(colours)), *views])


def _colours(scan: TownScan) -> np.ndarray:
    """(N, 3) uint8 RGB of the classes of a scan."""
    palette = np.full((256, 3), UNKNOWN, np.uint8)
    palette[: len(TOWN_PALETTE)] = TOWN_PALETTE
    return palette[town_class_of(scan.label)]


def _from_above(points: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3): ahead is to the right; what is higher covers what is lower."""
    image = np.full((SIDE, SIDE, 3), DARK, np.uint8)
    order = np.argsort(points[:, 2], kind='stable')
    scale = SIDE / (2 * METRES)
    column = np.floor((points[order, 0] + METRES) * scale).astype(int)
    row = np.floor((METRES - points[order, 1]) * scale).astype(int)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        r, c = row + down, column + right
        inside = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
        image[r[inside], c[inside]] = colour[order][inside]
    return image


def _from_sensor(spec: TownSpec, points: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(beams * zoom, SIDE, 3): one row per beam, ahead in the middle."""
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    beams = beam_elevations(spec)
    row = np.abs(elevation[:, None] - beams).argmin(axis=1)
    turn = (np.pi - np.arctan2(points[:, 1], points[:, 0])) / (2 * np.pi)
    image = np.full((spec.beams, spec.columns, 3), DARK, np.uint8)
    image[row, np.minimum((turn * spec.columns).astype(int), spec.columns - 1)] = colour
    across = np.arange(SIDE) * spec.columns // SIDE
    return np.repeat(image[:, across], _zoom(spec), axis=0)
