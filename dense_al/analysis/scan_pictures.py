"""Pictures of LiDAR scans: from above, and as the sensor sees them."""

from collections.abc import Sequence

import numpy as np

from dense_al.structures import IGNORE

BACKGROUND = (18, 20, 26)
ASKED, BY_MODEL = (255, 214, 0), (0, 200, 255)
RIGHT, WRONG = (90, 170, 110), (255, 60, 60)
UNKNOWN = (150, 150, 150)
LOWEST = 0.3  # brightness of a point of no interest
GAP = 6  # pixels between the two views


def read_points(path: str, columns: int) -> np.ndarray:
    """(N, 3) float32 x, y, z in metres of a file with `columns` float32 values per point.

    Raises:
        ValueError: The file ends within a point.
    """
    values = np.fromfile(path, '<f4')
    if not len(values) or len(values) % columns:
        raise ValueError(f'Expected {columns} values per point in {path}, but got {len(values)}')
    return values.reshape(-1, columns)[:, :3]


def render_scan(
    points: np.ndarray,
    asked: np.ndarray | None,
    labels: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    by_model: np.ndarray | None = None,
    *,
    colours: np.ndarray,
    side: int = 480,
) -> dict[str, np.ndarray]:
    """Pictures of one scan, each from above and, below that, over the angles of the sensor.

    Args:
        points: (N, 3) in metres, x ahead, y left, z up, in the frame of the sensor.
        asked: (N,) bool, points that were asked; None where that is not known.
        labels: (N,) uint8 answers, 255 elsewhere; None where there are none.
        prediction: (N,) uint8 predicted classes, or None.
        by_model: (N,) bool, points that the model labelled itself.
        colours: (C, 3) uint8 of the classes.
        side: Width of the pictures in pixels.

    Returns:
        Title -> (H, side, 3) uint8: `asked` (yellow; light blue what the model labelled itself),
        `answered`, `predicted`, and `errors` of the predictions where there are answers.
    """
    views = [_Above(points, side), _Around(points, side)]
    grey = _shades(points)
    table = np.full((256, 3), UNKNOWN, np.uint8)
    table[: len(colours)] = colours[:IGNORE]
    pictures = {}
    if asked is not None:
        shown = grey.copy()
        if by_model is not None:
            shown[by_model] = BY_MODEL
        shown[asked] = ASKED
        marked = asked if by_model is None else asked | by_model
        pictures['asked'] = _stacked(views, shown, marked)
    if labels is not None:
        known = labels != IGNORE
        pictures['answered'] = _stacked(views, np.where(known[:, None], table[labels], grey), known)
    if prediction is not None:
        pictures['predicted'] = _stacked(views, table[prediction], np.ones(len(points), bool))
    if labels is not None and prediction is not None:
        wrong = known & (labels != prediction)
        shown = np.where(known[:, None], np.array(RIGHT, np.uint8), grey)
        shown[wrong] = WRONG
        # What is wrong is drawn last, so that no point hides it.
        pictures['errors'] = _stacked(views, shown, wrong)
    return pictures


def _shades(points: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 greys, brighter the higher a point is."""
    low, high = np.quantile(points[:, 2], [0.05, 0.95])
    level = np.clip((points[:, 2] - low) / max(high - low, 1e-6), 0, 1)
    grey = (255 * (LOWEST + 0.4 * level)).astype(np.uint8)
    return np.repeat(grey[:, None], 3, axis=1)


class _View:
    """Where the points of a scan fall in a picture."""

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    order: np.ndarray  # points that hide others come last
    size: int  # side of a point in pixels

    def draw(self, colours: np.ndarray, marked: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8; of several points at one place a marked one is seen."""
        picture: np.ndarray = np.full((*self.shape, 3), BACKGROUND, np.uint8)
        order = self.order[np.argsort(marked[self.order], kind='stable')]
        rows, columns = self.rows[order], self.columns[order]
        for dy in range(self.size):
            for dx in range(self.size):
                y, x = rows + dy, columns + dx
                inside = (y >= 0) & (y < self.shape[0]) & (x >= 0) & (x < self.shape[1])
                picture[y[inside], x[inside]] = colours[order[inside]]
        return picture


class _Above(_View):
    """From above, ahead is up; what is farther than nearly all points is left out."""

    def __init__(self, points: np.ndarray, side: int) -> None:
        self.shape = side, side
        reach = max(float(np.quantile(np.abs(points[:, :2]).max(axis=1), 0.9)), 1.0)
        scale = side / (2 * reach)
        self.rows = np.floor(side / 2 - points[:, 0] * scale).astype(np.int64)
        self.columns = np.floor(side / 2 - points[:, 1] * scale).astype(np.int64)
        self.order = np.argsort(points[:, 2], kind='stable')
        self.size = _dot(self.shape, len(points) / 2)


class _Around(_View):
    """Azimuth from left behind over ahead to right behind, elevation upwards."""

    def __init__(self, points: np.ndarray, side: int) -> None:
        height = max(side // 5, 8)
        self.shape = height, side
        distance = np.linalg.norm(points, axis=1)
        azimuth = np.arctan2(points[:, 1], points[:, 0])
        elevation = np.arcsin(np.clip(points[:, 2] / np.maximum(distance, 1e-6), -1, 1))
        low, high = np.quantile(elevation, [0.005, 0.995])
        self.columns = ((0.5 - azimuth / (2 * np.pi)) * (side - 1)).astype(np.int64)
        level = (high - elevation) / max(high - low, 1e-6)
        self.rows = np.floor(np.clip(level, 0, 1) * (height - 2)).astype(np.int64)
        self.order = np.argsort(-distance, kind='stable')
        self.size = _dot(self.shape, len(points))


def _dot(shape: tuple[int, int], n_points: float) -> int:
    """Side of a point in pixels, so that sparse scans are seen as well."""
    return int(np.clip(round(np.sqrt(shape[0] * shape[1] / n_points) * 0.7), 1, 4))


def _stacked(views: Sequence[_View], colours: np.ndarray, marked: np.ndarray) -> np.ndarray:
    drawn = [view.draw(colours, marked) for view in views]
    gap = np.full((GAP, drawn[0].shape[1], 3), BACKGROUND, np.uint8)
    return np.concatenate([drawn[0], gap, drawn[1]])


def show_scan(points: np.ndarray, colours: np.ndarray, title: str) -> None:
    """Opens a window with a scan; returns when it is closed.

    Args:
        points: (N, 3) in metres.
        colours: (N, 3) uint8.
        title: Of the window.

    Raises:
        ValueError: No display, or no open3d.
    """
    import os

    if not any(os.environ.get(name) for name in ('DISPLAY', 'WAYLAND_DISPLAY')):
        raise ValueError('Expected a display to show scans in 3-D, but DISPLAY is not set')
    try:
        import open3d
    except ImportError as error:
        raise ValueError(f'Expected open3d (the extra `lidar`), but: {error}') from error
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.colors = open3d.utility.Vector3dVector(colours / 255.0)
    open3d.visualization.draw_geometries([cloud], window_name=title)


def asked_colours(points: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, 3) uint8: what was asked in yellow, the rest in greys."""
    shown = _shades(points)
    shown[asked] = ASKED
    return shown
