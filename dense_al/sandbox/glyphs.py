"""The world `glyphs`: coloured digits or letters on cluttered backgrounds, for object detection.

After the sandbox of Riedlinger et al., 2212.10836. Files lie as in COCO, with boxes and masks.
"""

import functools
import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dense_al.sandbox.glyphs_layout import Layout, Rules, Thing, draw_layout
from dense_al.sandbox.glyphs_paint import (
    box_of,
    lay_body,
    list_photographs,
    mask_of,
    mean_filter,
    merge_glyph,
    photograph,
    texture,
    to_bytes,
)
from dense_al.sandbox.glyphs_sources import GLYPH_SOURCES, class_names, load_glyphs
from dense_al.sandbox.spec import check_numbers, is_int

GLYPHS_SPLITS: tuple[str, ...] = ('train', 'val')
VERSION = 2  # raise it whenever the same spec gives other pixels
MIN_GLYPH = 8  # pixels; a smaller glyph cannot be read
# Name -> least integer, and name -> range of a number.
LEAST = dict(seed=0, side=48, n_train=0, n_val=0, frames_per_sequence=1)
RANGES = dict(
    mean_count=(0, 100),
    scale_low=(0, 0.9),
    scale_high=(0, 0.9),
    imbalance=(0, 10),
    frame_jitter=(0, 0.2),
    parts=(0, 1),
)


@dataclass(frozen=True)
class GlyphsSpec:
    """What a world of glyphs looks like.

    A scene depends on everything but `n_train` and `n_val`, and on its split and index.
    Defaults suit a CPU. The published world has side 320, scales .1 to .35 of a frame that is
    wider than its glyph (about .07 to .25 here), photographs, and `source='idx'`.

    Attributes:
        seed: Any integer from 0.
        side: Rows and columns of an image, at least 48.
        n_train: Images to learn from.
        n_val: Images to evaluate on, with glyphs and photographs that train never shows.
        mean_count: Mean of the Poisson distribution of the number of objects; an image may be
            background only. Objects for which a crowded image has no room are left out.
        source: `digits` (bundled with scikit-learn), `letters` (A-Z in bundled faces) or `idx`
            (MNIST or EMNIST files).
        idx_root: Folder of one set of IDX files, plain or gzipped.
        backgrounds: Folder of photographs; textures are drawn where it is empty.
        scale_low: Least longer side of a glyph as a share of the side; at least 8 pixels.
        scale_high: Largest one.
        imbalance: Exponent z of the class frequencies of train, (1 + class) ** -z; 0 = uniform.
            The classes of val are always uniform, so that rare ones are measured as well.
        frames_per_sequence: Consecutive train images that show the same objects on the same
            background, slightly moved; the more, the more near duplicates.
        frame_jitter: How far frames are moved, as a share of the side.
        parts: Share of objects that are a large faint body, alike for all classes, around a small
            distinct glyph. Their box is the body's, from 1.7 times `scale_low`, so take few.
    """

    seed: int = 0
    side: int = 96
    n_train: int = 400
    n_val: int = 100
    mean_count: float = 4.0
    source: str = 'digits'
    idx_root: str = ''
    backgrounds: str = ''
    scale_low: float = 0.18
    scale_high: float = 0.4
    imbalance: float = 0.0
    frames_per_sequence: int = 1
    frame_jitter: float = 0.03
    parts: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, LEAST, RANGES)
        for name in ('source', 'idx_root', 'backgrounds'):
            value = getattr(self, name)
            if not isinstance(value, (str, os.PathLike)):
                raise ValueError(f'Expected `{name}` to be a text, but got {value!r}')
            object.__setattr__(self, name, os.fspath(value))
        self._check_together()

    def _check_together(self) -> None:
        """What one field demands of another."""
        if self.source not in GLYPH_SOURCES:
            raise ValueError(
                f'Expected `source` to be one of {GLYPH_SOURCES}, but got {self.source!r}'
            )
        if (self.source == 'idx') != bool(self.idx_root):
            raise ValueError(
                f"Expected `idx_root` to be given with `source='idx'` and only then, "
                f'but got {self.idx_root!r} and {self.source!r}'
            )
        if self.scale_low * self.side < MIN_GLYPH:
            raise ValueError(
                f'Expected `scale_low` to be at least {MIN_GLYPH} pixels of a side of {self.side}, '
                f'but got {self.scale_low} ({self.scale_low * self.side:.1f} pixels)'
            )
        if self.scale_high < self.scale_low:
            raise ValueError(
                f'Expected `scale_high` to be at least `scale_low` {self.scale_low}, '
                f'but got {self.scale_high}'
            )
        if self.parts and self.scale_low > 0.25:
            raise ValueError(
                'Expected `scale_low` to be at most 0.25 where `parts` is above 0, '
                f'so that bodies fit on the canvas, but got {self.scale_low}'
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return class_names(self.source, self.idx_root)

    def count(self, split: str) -> int:
        """Images of a split."""
        return {'train': self.n_train, 'val': self.n_val}[split]


class GlyphScene(NamedTuple):
    """One image with its objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 x1, y1, x2, y2 in pixels, tight around the masks, ends excluded.
        labels: (N,) int64, index into the classes of the spec.
        masks: (N, H, W) bool, what overlaps hide included.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


def glyphs_name(spec: GlyphsSpec, split: str, index: int) -> str:
    """`<sequence>_<frame>` of a scene, without suffix."""
    sequence, frame = _position(spec, split, index)
    return f'{split}{sequence:06d}_{frame:03d}'


def render_glyphs(spec: GlyphsSpec, split: str, index: int) -> GlyphScene:
    """Draws one scene.

    Args:
        spec: The world.
        split: `train` or `val`.
        index: From 0; it may exceed the count of the split.

    Raises:
        ValueError: Unknown split, negative index, or folders that lack what is needed.
    """
    background, things, alpha = _frame(spec, split, index)
    side = spec.side
    masks = [thing.mask(side) for thing in things]
    return GlyphScene(
        _paint(background, things, alpha),
        np.array([box_of(mask) for mask in masks], np.float32).reshape(-1, 4),
        np.array([thing.label for thing in things], np.int64),
        np.stack(masks) if masks else np.zeros((0, side, side), bool),
    )


def glyph_parts(spec: GlyphsSpec, split: str, index: int) -> np.ndarray:
    """(N, 4) float32 x1, y1, x2, y2: boxes of the glyphs alone.

    They differ from the boxes of a scene where an object is a body with a glyph inside.
    """
    _, things, _ = _frame(spec, split, index)
    boxes = [box_of(mask_of(thing.stamp(), spec.side)) for thing in things]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _frame(spec: GlyphsSpec, split: str, index: int) -> tuple[np.ndarray, list[Thing], float]:
    """Background (side, side, 3), things and alpha of one frame; the first one is unmoved."""
    sequence, frame = _position(spec, split, index)
    layout = _layout(spec, split, sequence)
    margin = _margin(spec)
    moved = spec.frame_jitter if frame else 0.0
    rng = np.random.default_rng([spec.seed, GLYPHS_SPLITS.index(split), sequence, 2, frame])
    camera = np.rint(rng.uniform(-moved, moved, 2) * spec.side).astype(int)
    x, y = margin - camera
    background = layout.background[y : y + spec.side, x : x + spec.side].copy()
    things = []
    for thing in layout.things:
        shift = camera + 0.5 * rng.uniform(-moved, moved, 2) * spec.side
        things.append(thing.moved(shift, spec.side) if frame else thing)
    return background, things, layout.alpha


def _paint(image: np.ndarray, things: list[Thing], alpha: float) -> np.ndarray:
    """Paints things over a background (H, W, 3) float32, which it uses up; uint8."""
    side = len(image)
    cover, ink = np.zeros((side, side), np.float32), np.ones((side, side, 3), np.float32)
    for thing in things:
        if thing.body is not None:
            lay_body(image, *thing.stamp_body(), thing.body.colour)
        merge_glyph(cover, ink, thing.stamp(), thing.colour)
    image += np.float32(alpha) * cover[..., None] * (ink - image)
    return to_bytes(mean_filter(image))


@functools.lru_cache(maxsize=4)
def _layout(spec: GlyphsSpec, split: str, sequence: int) -> Layout:
    """Background and objects of a sequence, kept for its next frame."""
    rng = np.random.default_rng([spec.seed, GLYPHS_SPLITS.index(split), sequence, 0])
    glyphs = load_glyphs(spec.source, spec.idx_root, split)
    decay = spec.imbalance if split == 'train' else 0.0
    weights = (1.0 + np.arange(len(glyphs.classes))) ** -decay
    side = spec.side + 2 * _margin(spec)
    if spec.backgrounds:
        paths = _photographs(spec.backgrounds, split)
        background = photograph(paths[rng.integers(len(paths))], side)
    else:
        background = texture(rng, side)
    rules = Rules(
        side=spec.side,
        scale=(spec.scale_low, spec.scale_high),
        parts=spec.parts,
        mean_count=spec.mean_count,
        weights=tuple(weights / weights.sum()),
    )
    # Objects have a stream of their own, so that they do not follow from how a background is made.
    objects = np.random.default_rng([spec.seed, GLYPHS_SPLITS.index(split), sequence, 1])
    return draw_layout(objects, background, glyphs, rules)


_photographs = functools.lru_cache(maxsize=4)(list_photographs)


def _margin(spec: GlyphsSpec) -> int:
    """Pixels of background around the canvas, for the frames that are moved."""
    return math.ceil(spec.frame_jitter * spec.side)


def _position(spec: GlyphsSpec, split: str, index: int) -> tuple[int, int]:
    """Sequence and frame of a scene."""
    if split not in GLYPHS_SPLITS:
        raise ValueError(f'Expected `split` to be one of {GLYPHS_SPLITS}, but got {split!r}')
    if not is_int(index) or index < 0:
        raise ValueError(f'Expected `index` to be an integer of at least 0, but got {index!r}')
    return divmod(int(index), spec.frames_per_sequence if split == 'train' else 1)
