"""The world `town`: generated LiDAR sequences of streets for point cloud segmentation.

Each sequence is a drive of its own along a street of its own. Its frames overlap, so that a point
is seen again in the next ones; people, cyclists, signs and trucks are rare and not everywhere.
Files lie as in SemanticKITTI (Behley et al., ICCV 2019).
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dense_al.sandbox.spec import check_numbers, is_int

TOWN_SPLITS: tuple[str, ...] = ('train', 'val')
TOWN_CLASSES: tuple[str, ...] = (
    'road',
    'sidewalk',
    'terrain',
    'building',
    'fence',
    'vegetation',
    'trunk',
    'pole',
    'traffic sign',
    'person',
    'cyclist',
    'truck',
    'car',
)
TOWN_PALETTE: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (152, 251, 152),
    (110, 110, 120),
    (190, 153, 153),
    (60, 140, 40),
    (135, 75, 20),
    (240, 230, 150),
    (250, 190, 0),
    (230, 20, 40),
    (255, 130, 0),
    (0, 200, 220),
    (60, 110, 250),
)
IGNORE = 255
VERSION = 1  # raise it whenever the same spec gives other files


class RawLabel(NamedTuple):
    """What an annotated label means.

    Attributes:
        name: As in SemanticKITTI.
        group: The one of `TOWN_CLASSES` it belongs to; None: ignored.
    """

    name: str
    group: str | None


# The numbers are those of SemanticKITTI, so that its tools read the world; moving things are
# annotated apart from those that stand.
RAW_LABELS: dict[int, RawLabel] = {
    0: RawLabel('unlabeled', None),
    1: RawLabel('outlier', None),
    10: RawLabel('car', 'car'),
    13: RawLabel('bus', 'truck'),
    18: RawLabel('truck', 'truck'),
    30: RawLabel('person', 'person'),
    31: RawLabel('bicyclist', 'cyclist'),
    40: RawLabel('road', 'road'),
    48: RawLabel('sidewalk', 'sidewalk'),
    50: RawLabel('building', 'building'),
    51: RawLabel('fence', 'fence'),
    60: RawLabel('lane-marking', 'road'),
    70: RawLabel('vegetation', 'vegetation'),
    71: RawLabel('trunk', 'trunk'),
    72: RawLabel('terrain', 'terrain'),
    80: RawLabel('pole', 'pole'),
    81: RawLabel('traffic-sign', 'traffic sign'),
    99: RawLabel('other-object', None),
    252: RawLabel('moving-car', 'car'),
    253: RawLabel('moving-bicyclist', 'cyclist'),
    254: RawLabel('moving-person', 'person'),
    257: RawLabel('moving-bus', 'truck'),
    258: RawLabel('moving-truck', 'truck'),
}
RAW = {label.name: number for number, label in RAW_LABELS.items()}
# What stands -> the same in motion.
MOVING = {
    number: RAW[f'moving-{label.name}']
    for number, label in RAW_LABELS.items()
    if f'moving-{label.name}' in RAW
}

# Field -> least integer, and field -> range of a number.
LEAST = dict(
    seed=0,
    n_train_sequences=0,
    n_val_sequences=0,
    frames=1,
    val_frames=1,
    beams=2,
    columns=16,
)
RANGES = dict(step=(0.0, 3.0), max_range=(10.0, 80.0), noise=(0.0, 0.2), dropout=(0.0, 0.5))
MAX_SEQUENCES = 100  # names of sequences have two digits
MAX_DRIVE = 2000.0  # metres of street


@dataclass(frozen=True)
class TownSpec:
    """What a world of LiDAR sequences looks like.

    A sequence depends on `seed`, its split, its index in the split and the length of the drive,
    never on the counts of sequences; the streets do not depend on the sensor.

    Attributes:
        seed: Any integer from 0.
        n_train_sequences: Sequences to learn from, `00`, `01`, ...; their streets differ in kind.
        n_val_sequences: Sequences to evaluate on, numbered on; each has things of all classes.
        frames: Scans of a train sequence, ten per second.
        val_frames: Scans of a val sequence.
        beams: Rows of the sensor, from 2 degrees above to 25 below the horizon, twice as dense
            above -8.5 degrees as below. 64 beams and 1900 columns are those of SemanticKITTI.
        columns: Rays per turn of a beam.
        step: Metres that the sensor moves between two frames, on average.
        max_range: Metres up to which a ray returns.
        noise: Standard deviation of a range, metres.
        dropout: Share of rays lost on bright surfaces nearby; it rises with range and incidence.
    """

    seed: int = 0
    n_train_sequences: int = 8
    n_val_sequences: int = 3
    frames: int = 30
    val_frames: int = 16
    beams: int = 32
    columns: int = 360
    step: float = 0.75
    max_range: float = 70.0
    noise: float = 0.015
    dropout: float = 0.03

    def __post_init__(self) -> None:
        check_numbers(self, LEAST, RANGES)
        sequences = self.n_train_sequences + self.n_val_sequences
        if sequences > MAX_SEQUENCES:
            raise ValueError(
                f'Expected at most {MAX_SEQUENCES} sequences of train and val together, '
                f'but got {sequences}'
            )
        drive = self.step * max(self.frames, self.val_frames)
        if drive > MAX_DRIVE:
            raise ValueError(
                f'Expected `step` times frames to be at most {MAX_DRIVE:g} metres, '
                f'but got {drive:g}'
            )

    def count(self, split: str) -> int:
        """Sequences of a split."""
        return {'train': self.n_train_sequences, 'val': self.n_val_sequences}[split]

    def length(self, split: str) -> int:
        """Frames of a sequence of a split."""
        return {'train': self.frames, 'val': self.val_frames}[split]


def check_sequence(split: str, sequence: int) -> None:
    """Checks that a sequence can be generated; its index may exceed the count of the split.

    Raises:
        ValueError: Unknown split or negative index.
    """
    if split not in TOWN_SPLITS:
        raise ValueError(f'Expected `split` to be one of {TOWN_SPLITS}, but got {split!r}')
    if not is_int(sequence) or sequence < 0:
        raise ValueError(
            f'Expected `sequence` to be an integer of at least 0, but got {sequence!r}'
        )


def sequence_numbers(spec: TownSpec, split: str) -> list[int]:
    """Numbers of the folders of a split's sequences."""
    first = 0 if split == 'train' else spec.n_train_sequences
    return list(range(first, first + spec.count(split)))


def town_class_of(label: np.ndarray) -> np.ndarray:
    """Classes of annotated labels.

    Args:
        label: (N,) uint32, with the instance in the upper 16 bits.

    Returns:
        (N,) uint8 index into `TOWN_CLASSES`, 255 = ignore.
    """
    table = np.full(max(RAW_LABELS) + 1, IGNORE, np.uint8)
    for number, raw in RAW_LABELS.items():
        if raw.group is not None:
            table[number] = TOWN_CLASSES.index(raw.group)
    return table[label & 0xFFFF]


def describe_town(spec: TownSpec) -> dict[str, Any]:
    """The contents of `world.json`: plain JSON data."""
    return {
        'world': 'town',
        'version': VERSION,
        'spec': dataclasses.asdict(spec),
        'classes': list(TOWN_CLASSES),
        'palette': [list(colour) for colour in TOWN_PALETTE],
        'ignore_index': IGNORE,
        'counts': {split: spec.count(split) * spec.length(split) for split in TOWN_SPLITS},
        'sequences': {
            split: [f'{n:02d}' for n in sequence_numbers(spec, split)] for split in TOWN_SPLITS
        },
    }
