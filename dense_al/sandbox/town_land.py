"""What stands beside the roads of the world `town`: houses, gardens, and the edge of sidewalks."""

import numpy as np

from dense_al.sandbox.town_profiles import PROFILES, Profile, Thing
from dense_al.sandbox.town_streets import WIDE, Street

PIECE = 4.0  # metres of fence or hedge that are straight
SLOT = 3.0  # metres of kerb for one thing
LAMP_EVERY = 9  # slots


def _thing(
    rng: np.random.Generator,
    kind: str,
    place: tuple[float, float],
    size: tuple[float, float, float],
    turn: float | None = None,
    shade: tuple[float, float] = (0.7, 1.3),
) -> Thing:
    """Something that stands, with random details; turned anyhow where no turn is given."""
    seed, spin = int(rng.integers(1 << 31)), rng.uniform(0, 2 * np.pi)
    angle = float(spin if turn is None else turn)
    tone = float(rng.uniform(*shade))
    return Thing(kind, float(place[0]), float(place[1]), angle, size, tone, seed)


def settle(
    rng: np.random.Generator, street: Street, profile: Profile, other_share: float
) -> list[Thing]:
    """Houses, fences, hedges, trees and bushes on both sides of a street.

    Args:
        rng: Source of randomness.
        street: The ground.
        profile: Kind of the street.
        other_share: Share of the land between side streets that is as in another kind of street.
    """
    things: list[Thing] = []
    for side in (1, -1):
        for start, end in street.stretches(side, margin=street.walk + 0.8):
            other = PROFILES[str(rng.choice(list(PROFILES)))]
            land = other if rng.random() < other_share else profile
            at = start
            while end - at > 6:
                width = rng.uniform(*land.plot)
                width = end - at if end - at < width + 6 else width
                things += _plot(rng, street, land, side, at, at + width)
                at += width
    return things


def _plot(
    rng: np.random.Generator, street: Street, land: Profile, side: int, start: float, end: float
) -> list[Thing]:
    """One plot: a border, a house or none, what grows around it, something behind it."""
    edge = street.half + street.walk
    middle = (start + end) / 2
    setback, depth = rng.uniform(*land.setback), rng.uniform(8, 12)
    front, back = edge + setback, edge + setback + depth
    # Inside of a bend there is less room than along the road.
    room = min(1.0, street.stretch(middle, side * back))
    width = (end - start) * room - rng.uniform(*land.gap)
    built = rng.random() < land.built and width > 5
    things = []
    if setback > 2:
        things += _border(rng, land, side * (edge + 0.4), start, end)
    if built:
        place = (middle, side * (front + back) / 2)
        size = (float(width), float(depth), float(rng.uniform(*land.height)))
        things.append(_thing(rng, 'building', place, size, 0.0 if side > 0 else np.pi, (0.5, 1.4)))
    things += _grow(rng, land, side, (start, end), (edge + 1.4, front - 1.2))
    behind = ((back if built else front) + 2, WIDE - 4)
    things += _grow(rng, land, side, (start, end), behind)
    if rng.random() < 0.5:
        size = (0.8 * (end - start) * room, 10.0, float(rng.uniform(*land.height) + 2))
        v = side * rng.uniform(back + 14, WIDE - 7)
        things.append(_thing(rng, 'building', (middle, v), size, 0.0 if side > 0 else np.pi))
    return things


def _border(
    rng: np.random.Generator, land: Profile, v: float, start: float, end: float
) -> list[Thing]:
    """A fence or hedge along the sidewalk, with a gate; it follows the street in short pieces."""
    kind = ('fence', 'hedge', '')[rng.choice(3, p=(*land.border, 1 - sum(land.border)))]
    height, gap = rng.uniform(0.9, 1.7), float(rng.choice((0.0, 0.05, 0.08)))
    if not kind:
        return []
    gate = rng.uniform(start + 1, end - 3)
    things = []
    for low, high in ((start + 0.3, gate), (gate + 2.4, end - 0.3)):
        pieces = int(np.ceil((high - low) / PIECE))
        for i in range(pieces):
            length = (high - low) / pieces
            across = 0.7 if kind == 'hedge' else gap
            size = (float(length + 0.05), across, float(height))
            things.append(_thing(rng, kind, (low + (i + 0.5) * length, v), size, 0.0, (0.8, 1.2)))
    return things


def _grow(
    rng: np.random.Generator,
    land: Profile,
    side: int,
    along: tuple[float, float],
    across: tuple[float, float],
) -> list[Thing]:
    """Trees and bushes on a strip of land, none where it is too narrow."""
    if across[1] - across[0] < 0.6:
        return []
    area = (along[1] - along[0]) * (across[1] - across[0])
    narrow = across[1] - across[0] < 3
    # Far land is seen from afar only: fewer, larger plants will do.
    density = land.green / 100 * (0.5 if across[1] > 30 else 1.0)
    things = []
    for _ in range(rng.poisson(density * area)):
        s = rng.uniform(along[0] + 0.8, along[1] - 0.8)
        v = side * rng.uniform(*across)
        kind = ('bush', 'tree', 'conifer')[rng.choice(3, p=(0.45, 0.4, 0.15))]
        if kind == 'bush' or narrow:
            wide = rng.uniform(0.8, 2.4)
            size = (float(wide), float(wide), float(wide * rng.uniform(0.5, 1.1)))
            things.append(_thing(rng, 'bush', (s, v), size))
        else:
            things.append(plant(rng, kind, (s, v), rng.uniform(4, 9)))
    return things


def plant(rng: np.random.Generator, kind: str, place: tuple[float, float], height: float) -> Thing:
    """A tree or conifer of some height, with a wide low crown."""
    wide = height * (rng.uniform(0.45, 0.7) if kind == 'tree' else rng.uniform(0.3, 0.45))
    bare = rng.uniform(1.3, 2.2) if kind == 'tree' else rng.uniform(0.2, 0.8)
    return _thing(rng, kind, place, (float(wide), float(bare), float(height)))


def line_kerbs(rng: np.random.Generator, street: Street, profile: Profile) -> list[Thing]:
    """Trees, lamps, signs, bins and bollards on the outer edge of both sidewalks."""
    things = []
    share = (*profile.kerb, 1 - sum(profile.kerb))
    for side in (1, -1):
        lamp, last_tree = int(rng.integers(LAMP_EVERY)), -np.inf
        for i, s in enumerate(np.arange(street.knots[0] + 5, street.knots[-1] - 5, SLOT)):
            kind = ('tree', 'sign', 'bin', 'bollard', '')[rng.choice(5, p=share)]
            if street.opens(s, side, margin=2.0):
                continue
            if i % LAMP_EVERY == lamp:
                kind = 'lamp'
            elif kind == 'tree':
                kind = kind if s - last_tree > 5 else ''
                last_tree = s if kind else last_tree
            if kind:
                things.append(_on_kerb(rng, street, kind, s + rng.uniform(-0.8, 0.8), side))
    return things


def _on_kerb(rng: np.random.Generator, street: Street, kind: str, s: float, side: int) -> Thing:
    """Something on the outer edge of a sidewalk."""
    place = (s, side * (street.half + (0.75 if kind == 'tree' else 0.45)))
    if kind == 'lamp':
        return _thing(rng, kind, place, (1.4, 0.09, float(rng.uniform(5, 7.5))), -side * np.pi / 2)
    if kind == 'tree':  # cars pass below it
        wide, bare, height = rng.uniform((2.0, 2.1, 4.5), (3.6, 2.7, 8.0))
        return _thing(rng, kind, place, (float(wide), float(bare), float(height)))
    if kind == 'sign':
        wide, height = rng.uniform((0.7, 1.9), (1.0, 2.6))
        size = (0.1, float(wide), float(height))
        return _thing(rng, kind, place, size, rng.uniform(-0.08, 0.08))
    if kind == 'bin':
        wide, height = rng.uniform((0.5, 0.9), (0.8, 1.3))
        return _thing(rng, kind, place, (float(wide), float(wide), float(height)), 0.0)
    return _thing(rng, 'bollard', place, (0.2, 0.09, 1.0))
