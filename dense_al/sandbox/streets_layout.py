"""What stands where in a generated street: drawn once per sequence, in metres."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

STREETS_CLASSES: tuple[str, ...] = (
    'road',
    'sidewalk',
    'building',
    'fence',
    'pole',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'car',
    'bicycle',
)
CLASS = {name: index for index, name in enumerate(STREETS_CLASSES)}
IGNORE = 255
PERIOD = 64.0  # metres after which a street repeats, so a sequence may be of any length
TILE = 128  # side of the noise tiles, a power of two

BLOCKS = ('building', 'fence', 'hedge', 'gap')
THINGS = ('car', 'person', 'bicycle', 'pole', 'sign', 'tree', 'bin')
# Share in the usual colour of their kind, and this colour: rare classes must be learnable.
USUAL = {'person': (0.85, (0.92, 0.5, 0.1)), 'bicycle': (0.9, (0.1, 0.75, 0.8))}


@dataclass(frozen=True)
class Profile:
    """How often things occur in one kind of street.

    Attributes:
        road: Least and largest half width of the road, metres.
        blocks: Probability of each of `BLOCKS` along the street.
        things: Mean number of each of `THINGS` per street.
        verge: Probability that a strip of grass lies behind a sidewalk.
        colour: Standard deviation of colours around those of the source domain.
        autumn: Probability that leaves are brown rather than green.
    """

    road: tuple[float, float]
    blocks: tuple[float, float, float, float]
    things: tuple[float, float, float, float, float, float, float]
    verge: float
    colour: float
    autumn: float


SOURCE = (Profile((4.5, 6.0), (0.8, 0.05, 0.1, 0.05), (9, 2, 2, 5, 4, 3, 0), 0.3, 0.03, 0.0),)
TARGET = (
    Profile((3.5, 5.5), (0.58, 0.2, 0.15, 0.07), (6, 3, 1, 5, 3, 5, 1), 0.4, 0.04, 0.15),
    Profile((3.0, 4.2), (0.2, 0.42, 0.28, 0.1), (4, 1.5, 1.5, 3, 1, 8, 1), 0.9, 0.04, 0.25),
    Profile((3.0, 4.5), (0.9, 0.07, 0.03, 0), (5, 11, 7, 6, 7, 2, 2), 0.1, 0.04, 0.15),
)
TARGET_SHARES = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Blocks:
    """One row of facades along the street.

    Attributes:
        ends: (B,) where each block ends, ascending, the last one `PERIOD`.
        kind: (B,) index into `BLOCKS`.
        height: (B,) metres.
        colour: (B, 3) in 0..1.
        storey: (B,) height and spacing of windows, metres.
    """

    ends: np.ndarray
    kind: np.ndarray
    height: np.ndarray
    colour: np.ndarray
    storey: np.ndarray


@dataclass(frozen=True)
class Thing:
    """Something that stands upright on the ground.

    Attributes:
        kind: One of `THINGS`.
        x: Metres to the right of the middle of the road.
        z: Metres along the street.
        size: Factor on its usual size.
        speed: Metres per frame along x and z.
        colour: (3,) main colour in 0..1.
        variant: A number in 0..1 that decides on details.
    """

    kind: str
    x: float
    z: float
    size: float
    speed: tuple[float, float]
    colour: np.ndarray
    variant: float


@dataclass(frozen=True)
class Layout:
    """A street without its light.

    Attributes:
        road: Half width of the road.
        walk: Outer edge of the left and right sidewalk, metres from the middle.
        front: Distance of the left and right facade from the middle.
        blocks: Front row left and right, back row left and right.
        end: Height in metres and kind of what closes the street.
        colours: Colour of each surface, (3,) in 0..1.
        things: All upright things.
        noise: (TILE, TILE) white noise, uniform in -1..1.
        clumps: (TILE, TILE) smooth noise, about -1..1; both tiles wrap around.
    """

    road: float
    walk: tuple[float, float]
    front: tuple[float, float]
    blocks: tuple[Blocks, Blocks, Blocks, Blocks]
    end: tuple[float, int]
    colours: dict[str, np.ndarray]
    things: tuple[Thing, ...]
    noise: np.ndarray
    clumps: np.ndarray


def draw_layout(rng: np.random.Generator, target: bool) -> Layout:
    """One street of the target or the source domain."""
    profile = TARGET[rng.choice(3, p=TARGET_SHARES)] if target else SOURCE[0]
    road = rng.uniform(*profile.road)
    walk = road + rng.uniform(1.6, 3.4, 2)
    front = walk + np.where(rng.random(2) < profile.verge, rng.uniform(0.8, 3.0, 2), 0.0)
    colours = _draw_colours(rng, profile)
    rows = [_draw_blocks(rng, profile, colours, back) for back in (False, False, True, True)]
    noise = rng.uniform(-1, 1, (TILE, TILE)).astype(np.float32)
    clumps = gaussian_filter(rng.standard_normal((TILE, TILE)), 1.6, mode='wrap')
    return Layout(
        road=road,
        walk=(walk[0], walk[1]),
        front=(front[0], front[1]),
        blocks=(rows[0], rows[1], rows[2], rows[3]),
        end=(rng.uniform(3, 11), int(rng.choice((0, 2)))),
        colours=colours,
        things=_draw_things(rng, profile, road, walk, front),
        noise=noise,
        clumps=(clumps / (2 * clumps.std())).astype(np.float32),
    )


def _jitter(rng: np.random.Generator, colour: tuple[float, float, float], std: float) -> np.ndarray:
    """(3,) float32: a colour moved in brightness mostly, in hue a little."""
    moved = np.asarray(colour) + rng.normal(0, std) + rng.normal(0, std / 3, 3)
    return np.clip(moved, 0.03, 0.97).astype(np.float32)


def _draw_colours(rng: np.random.Generator, profile: Profile) -> dict[str, np.ndarray]:
    """Colours of the surfaces; road and sidewalk overlap in the target domain, so do greens."""
    std = profile.colour
    leaves = (0.46, 0.30, 0.12) if rng.random() < profile.autumn else (0.17, 0.38, 0.14)
    grass = (0.50, 0.45, 0.22) if rng.random() < profile.autumn else (0.34, 0.50, 0.18)
    sidewalk = (0.52, 0.48, 0.45)
    return {
        'road': _jitter(rng, (0.35, 0.35, 0.38), std),
        'sidewalk': _jitter(rng, sidewalk, std),
        'leaves': _jitter(rng, leaves, std * 0.6),
        'grass': _jitter(rng, grass, std * 0.6),
        'sky': _jitter(rng, (0.66, 0.80, 0.97), std * 0.6),
        'wall': _jitter(rng, (0.60, 0.47, 0.40), std),
        'wood': _jitter(rng, (0.40, 0.26, 0.15), std),
    }


def _draw_blocks(
    rng: np.random.Generator, profile: Profile, colours: dict[str, np.ndarray], back: bool
) -> Blocks:
    """A row of blocks around the whole period; a back row has no fences and no gaps."""
    ends = np.cumsum(rng.uniform(5, 18, 32))
    ends = ends[: np.searchsorted(ends, PERIOD) + 1]
    ends[-1] = PERIOD
    count = len(ends)
    shares = np.asarray(profile.blocks)
    if back:
        shares = np.array([shares[0] + 0.2, 0.0, shares[2] + 0.2, 0.3])
    kind = rng.choice(4, count, p=shares / shares.sum())
    low = np.array([5.0, 1.1, 1.5, 0.0])[kind]
    high = np.array([17.0, 2.2, 5.0, 0.0])[kind]
    height = rng.uniform(low, high) * (1.3 if back else 1.0)
    colour = np.empty((count, 3), np.float32)
    for i in range(count):
        # A fence may have the colour of a house, and a house that of leaves.
        usual = colours['wood' if kind[i] == 1 else 'wall']
        other = colours['wall'] if kind[i] == 1 else colours['leaves'] * 1.3
        base = usual if rng.random() < (0.8 if kind[i] == 1 else 0.96) else other
        colour[i] = _jitter(rng, tuple(base), profile.colour + 0.03)
    return Blocks(ends, kind, height, colour, rng.uniform(2.4, 3.6, count))


def _draw_things(
    rng: np.random.Generator, profile: Profile, road: float, walk: np.ndarray, front: np.ndarray
) -> tuple[Thing, ...]:
    """All upright things of a street, in no particular order."""
    things = []
    for kind, mean in zip(THINGS, profile.things):
        for _ in range(rng.poisson(mean)):
            side = int(rng.integers(2))
            sign = (-1, 1)[side]
            z = PERIOD * rng.random()
            speed = (0.0, 0.0)
            if kind == 'car':
                parked = rng.random() < 0.6
                x = sign * (road - 1.1 if parked else road * rng.uniform(0.35, 0.55))
                speed = (0.0, 0.0 if parked else sign * rng.uniform(0.1, 0.5))
            elif kind in ('person', 'bicycle'):
                crossing = rng.random() < 0.2
                x = rng.uniform(-road, road) if crossing else sign * rng.uniform(road, walk[side])
                speed = (rng.normal(0, 0.06), rng.normal(0, 0.1))
            elif kind == 'tree':
                x = sign * rng.uniform(road + 0.8, max(front[side] - 0.3, road + 1.0))
            else:
                x = sign * (road + rng.uniform(0.3, 0.8))
            things.append(
                Thing(
                    kind=kind,
                    x=float(x),
                    z=float(z),
                    size=float(rng.uniform(1.0, 1.35)),
                    speed=speed,
                    colour=_draw_thing_colour(rng, kind),
                    variant=float(rng.random()),
                )
            )
    return tuple(things)


def _draw_thing_colour(rng: np.random.Generator, kind: str) -> np.ndarray:
    """(3,) float32: the usual colour of a kind, else dull, now and then a strong one."""
    share, usual = USUAL.get(kind, (0.0, (0.0, 0.0, 0.0)))
    choice = rng.random()
    if choice < share:
        colour = np.asarray(usual) + rng.normal(0, 0.07, 3)
    elif choice < share + 0.2 * (1 - share):
        colour = rng.permutation([rng.uniform(0.65, 0.95), *rng.uniform(0.03, 0.35, 2)])
    else:
        colour = rng.uniform(0.08, 0.8) + rng.normal(0, 0.1, 3)
    return np.clip(colour, 0.04, 0.95).astype(np.float32)
