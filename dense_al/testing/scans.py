"""A toy LiDAR scan: boxes on level ground under a spinning sensor."""

import numpy as np

GROUND, BOX = 0, 1
BEAMS, HEIGHT, RANGE = 64, 1.73, 70.0


def toy_scan(
    n_points: int, rng: np.random.Generator, n_boxes: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Points where rays of a sensor of 64 beams meet level ground or boxes on it.

    Args:
        n_points: How many points.
        rng: Source of the boxes, the noise of 1 cm and of what is left out.
        n_boxes: How many boxes; those upon the sensor are left out.

    Returns:
        (n_points, 4) float32 x, y, z in metres and remission in [0, 1], and (n_points,) uint8
        labels, 0 ground and 1 box.
    """
    rays = _rays(2 * n_points // BEAMS)
    reach = np.where(rays[2] < 0, -HEIGHT / np.minimum(rays[2], -1e-6), np.inf)
    labels = np.full(reach.shape, GROUND, np.uint8)
    for _ in range(n_boxes):
        centre, half = rng.uniform(-30, 30, 2), rng.uniform(0.3, 3, 2)
        top = rng.uniform(0.5, 4) - HEIGHT
        if (np.abs(centre) < half + 2).all():
            continue
        enter, leave = _through(rays, [*(centre - half), -HEIGHT], [*(centre + half), top])
        hit = (enter < leave) & (enter > 0) & (enter < reach)
        reach, labels = np.where(hit, enter, reach), np.where(hit, BOX, labels)
    seen = np.flatnonzero(reach < RANGE)
    seen = np.sort(rng.choice(seen, n_points, replace=False))
    points = rays[:, seen] * reach[seen] + rng.normal(0, 0.01, (3, n_points))
    remission = np.clip(0.3 + rng.normal(0, 0.1, n_points), 0, 1)
    return np.stack([*points, remission], axis=1).astype(np.float32), labels[seen]


def _rays(n_columns: int) -> np.ndarray:
    """(3, R) directions of a turn."""
    up = np.deg2rad(np.linspace(2, -25, BEAMS))[:, None]
    round_ = np.linspace(-np.pi, np.pi, n_columns, endpoint=False)[None]
    x, y = np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_)
    return np.stack([x, y, np.broadcast_to(np.sin(up), x.shape)]).reshape(3, -1)


def _through(rays: np.ndarray, low: list, high: list) -> tuple[np.ndarray, np.ndarray]:
    """(R,) where each ray enters and leaves a box."""
    with np.errstate(divide='ignore'):
        near, far = np.array(low)[:, None] / rays, np.array(high)[:, None] / rays
    return np.minimum(near, far).max(axis=0), np.maximum(near, far).min(axis=0)
