"""What stands and moves where in a street of the world `town`."""

from dataclasses import dataclass

import numpy as np

from dense_al.sandbox.town_land import line_kerbs, settle
from dense_al.sandbox.town_profiles import (
    MIXED,
    OTHER_SHARE,
    PROFILES,
    TRAIN_ORDER,
    Thing,
    lane,
)
from dense_al.sandbox.town_streets import Street, draw_street
from dense_al.sandbox.town_traffic import fill_road


@dataclass(frozen=True)
class Layout:
    """A street with all that is on it, and a drive along it.

    Attributes:
        street: The ground.
        things: What stands on it.
        drive: (F, 2) s, v of the sensor in each frame.
    """

    street: Street
    things: tuple[Thing, ...]
    drive: np.ndarray


def draw_layout(
    rng: np.random.Generator, split: str, sequence: int, frames: int, step: float
) -> Layout:
    """The street of a sequence.

    Args:
        rng: Source of randomness.
        split: `train` or `val`.
        sequence: Index in the split, from 0; it decides on the kind of street.
        frames: Frames of the drive.
        step: Metres between them, on average.
    """
    kind = TRAIN_ORDER[sequence % len(TRAIN_ORDER)] if split == 'train' else ''
    profile = PROFILES.get(kind, MIXED)
    street = draw_street(rng, frames * step, profile.half, profile.walk)
    drive = _draw_drive(rng, street, frames, step)
    things = settle(rng, street, profile, OTHER_SHARE[split])
    things += line_kerbs(rng, street, profile)
    things += fill_road(rng, street, profile, drive)
    return Layout(street, tuple(things), drive)


def _draw_drive(rng: np.random.Generator, street: Street, frames: int, step: float) -> np.ndarray:
    """(F, 2) s, v of the sensor: in the right lane, with changing speed."""
    frame = np.arange(frames)
    pace = 1 + 0.25 * np.sin(2 * np.pi * (frame / rng.uniform(40, 90) + rng.random()))
    s = step * (np.cumsum(pace) - pace[0])
    v = -lane(street) + 0.12 * np.sin(2 * np.pi * (frame / rng.uniform(50, 80) + rng.random()))
    return np.stack([s, v], axis=-1)
