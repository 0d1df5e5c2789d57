"""The world `streets`: two domains of generated street scenes for semantic segmentation.

Target scenes (`train`, `val`) differ from `source` scenes in light, weather, colours, sensor and in
how often classes occur; a part of them is at night. Files lie as in Cityscapes.
"""

import dataclasses
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dense_al.sandbox.spec import check_numbers, is_int
from dense_al.sandbox.streets_files import write_world
from dense_al.sandbox.streets_layout import IGNORE, STREETS_CLASSES, Layout, draw_layout
from dense_al.sandbox.streets_light import draw_light, expose, paint_hood, sky_at_night
from dense_al.sandbox.streets_surfaces import Camera, Canvas, paint_surfaces
from dense_al.sandbox.streets_things import paint_things

STREETS_SPLITS: tuple[str, ...] = ('train', 'val', 'source')
STREETS_PALETTE: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (190, 153, 153),
    (153, 153, 153),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (0, 0, 142),
    (119, 11, 32),
)
VERSION = 1  # raise it whenever the same spec gives other pixels
# Field -> least integer, and field -> range of a number.
LEAST = dict(seed=0, height=32, width=32, frames_per_sequence=1, n_train=0, n_val=0, n_source=0)
RANGES = dict(frame_step=(0.0, 10.0), night_share=(0.0, 1.0))
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class StreetsSpec:
    """What a world of streets looks like.

    A scene depends on `seed`, sizes, shares, its split and index, never on the counts.

    Attributes:
        seed: Any integer from 0.
        height: Rows of an image, at least 32.
        width: Columns of an image, at least 32.
        n_train: Images of the target domain to learn from.
        n_val: Images of the target domain to evaluate on, each of a street of its own.
        n_source: Images of the source domain, each of a street of its own.
        frames_per_sequence: Consecutive train images that show the same street; the more, the
            more near duplicates.
        frame_step: Metres the camera drives between two frames.
        night_share: Share of target sequences at night, 0..1, spread evenly over the sequences.
    """

    seed: int = 0
    height: int = 96
    width: int = 192
    n_train: int = 150
    n_val: int = 40
    n_source: int = 60
    frames_per_sequence: int = 3
    frame_step: float = 0.8
    night_share: float = 0.3

    def __post_init__(self) -> None:
        check_numbers(self, LEAST, RANGES)

    def count(self, split: str) -> int:
        """Images of a split."""
        return {'train': self.n_train, 'val': self.n_val, 'source': self.n_source}[split]


def scene_name(spec: StreetsSpec, split: str, index: int) -> str:
    """`<sequence>/<sequence>_<frame>` of a scene, without suffix."""
    sequence, frame = _position(spec, split, index)
    return f'{split}{sequence:04d}/{split}{sequence:04d}_{frame:06d}'


def render_scene(spec: StreetsSpec, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws one scene.

    Args:
        spec: The world.
        split: `train`, `val` or `source`.
        index: From 0; it may exceed the count of the split.

    Returns:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8, index into `STREETS_CLASSES`, 255 = ignore.

    Raises:
        ValueError: Unknown split or negative index.
    """
    sequence, frame = _position(spec, split, index)
    target = split != 'source'
    street = [spec.seed, STREETS_SPLITS.index(split), sequence]
    layout = _layout(spec.seed, split, sequence)
    light_rng = np.random.default_rng([*street, 1])
    light = draw_light(light_rng, target, target and _is_night(spec, split, sequence))
    camera = Camera(
        focal=0.65 * spec.width,
        centre=(
            spec.width * light_rng.uniform(0.42, 0.58),
            spec.height * light_rng.uniform(0.4, 0.46),
        ),
        x=layout.road * light_rng.uniform(0.2, 0.5),
        z=64 * light_rng.random() + spec.frame_step * frame,
    )
    canvas = Canvas.empty(spec.height, spec.width)
    paint_surfaces(canvas, layout, camera)
    paint_things(canvas, layout, camera, frame)
    if target:
        paint_hood(canvas, IGNORE)
    sky_at_night(canvas, light, layout)
    noise_rng = np.random.default_rng([*street, 2, frame])
    return expose(canvas, layout, camera, light, frame, noise_rng), canvas.label


@functools.lru_cache(maxsize=4)
def _layout(seed: int, split: str, sequence: int) -> Layout:
    """The street of a sequence, kept for its next frame."""
    rng = np.random.default_rng([seed, STREETS_SPLITS.index(split), sequence, 0])
    return draw_layout(rng, split != 'source')


def _position(spec: StreetsSpec, split: str, index: int) -> tuple[int, int]:
    """Sequence and frame of a scene."""
    if split not in STREETS_SPLITS:
        raise ValueError(f'Expected `split` to be one of {STREETS_SPLITS}, but got {split!r}')
    if not is_int(index) or index < 0:
        raise ValueError(f'Expected `index` to be an integer of at least 0, but got {index!r}')
    return divmod(int(index), spec.frames_per_sequence if split == 'train' else 1)


def _is_night(spec: StreetsSpec, split: str, sequence: int) -> bool:
    """Spreads the nights evenly, so that a small world has its share too."""
    start = np.random.default_rng([spec.seed, STREETS_SPLITS.index(split)]).random()
    return (start + GOLDEN * sequence) % 1 < spec.night_share


def describe_streets(spec: StreetsSpec) -> dict[str, Any]:
    """The contents of `world.json`: plain JSON data."""
    return {
        'world': 'streets',
        'version': VERSION,
        'spec': dataclasses.asdict(spec),
        'classes': list(STREETS_CLASSES),
        'palette': [list(colour) for colour in STREETS_PALETTE],
        'ignore_index': IGNORE,
        'counts': {split: spec.count(split) for split in STREETS_SPLITS},
    }


def _files(spec: StreetsSpec) -> Iterator[tuple[str, int, str, str]]:
    """Split, index, image path and label path of all scenes, relative to the root."""
    for split in STREETS_SPLITS:
        for index in range(spec.count(split)):
            name = f'{split}/{scene_name(spec, split, index)}'
            image = f'leftImg8bit/{name}_leftImg8bit.png'
            yield split, index, image, f'gtFine/{name}_gtFine_labelTrainIds.png'


def write_streets(
    root: str | os.PathLike[str], spec: StreetsSpec | None = None, *, overwrite: bool = False
) -> Path:
    """Writes a world to disk, unless it is there already.

    Images lie at `leftImg8bit/<split>/<sequence>/<sequence>_<frame>_leftImg8bit.png`, labels at
    `gtFine/<split>/<sequence>/<sequence>_<frame>_gtFine_labelTrainIds.png` (uint8, 255 = ignore),
    the description in `world.json`. An interrupted run leaves no world; several processes may
    write the same one at once.

    Args:
        root: Folder of the world.
        spec: The world; the default spec where None.
        overwrite: Replace another world at `root`.

    Returns:
        The absolute path of `root`.

    Raises:
        ValueError: `root` holds another world or something that is none.
    """
    spec = StreetsSpec() if spec is None else spec
    names = [name for *_, image, label in _files(spec) for name in (image, label)]

    def fill(folder: Path) -> None:
        for split in STREETS_SPLITS:
            for kind in ('leftImg8bit', 'gtFine'):
                (folder / kind / split).mkdir(parents=True)
        for split, index, image_path, label_path in _files(spec):
            image, label = render_scene(spec, split, index)
            for array, path in ((image, folder / image_path), (label, folder / label_path)):
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(array).save(path, compress_level=1)

    return write_world(root, describe_streets(spec), names, fill, overwrite=overwrite)


def streets_sheet(spec: StreetsSpec, per_split: int = 8, columns: int = 4) -> np.ndarray:
    """A picture of scenes with their labels, split by split.

    Args:
        spec: The world.
        per_split: Scenes of each split, evenly spread over it.
        columns: Pairs of image and label side by side.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(STREETS_PALETTE)] = STREETS_PALETTE
    blank = np.zeros((spec.height, 2 * spec.width, 3), np.uint8)
    rows = []
    for split in STREETS_SPLITS:
        chosen = np.unique(np.linspace(0, spec.count(split) - 1, per_split).astype(int))
        pairs = [render_scene(spec, split, int(i)) for i in chosen if spec.count(split)]
        tiles = [np.hstack([image, palette[label]]) for image, label in pairs]
        tiles += [blank] * (-len(tiles) % columns)
        rows += [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows) if rows else blank
