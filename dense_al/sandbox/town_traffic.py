"""What stands and moves on the roads of the world `town`, and the people on its sidewalks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dense_al.sandbox.town_profiles import Profile, Thing, lane
from dense_al.sandbox.town_streets import Street

EGO_SIZE = (4.5, 1.8)
SPACE = (1.5, 0.15)  # metres between vehicles along and across the street
TRIES = 30
USUAL_DRIVE = 40.0  # metres to which the counts of a profile apply


class _Trip(NamedTuple):
    """The drive of the sensor.

    Attributes:
        end: s of its last frame; the first one's is 0.
        pace: Metres per frame, on average.
        frames: Number of frames.
    """

    end: float
    pace: float
    frames: int


class _Roadway:
    """What is on the roads already, in every frame, so that nothing runs into anything.

    Args:
        drive: (F, 2) s, v of the sensor, whose car is the first on the road.
    """

    def __init__(self, drive: np.ndarray) -> None:
        self._frames = np.arange(len(drive))[:, None]
        self._tracks = [drive]
        self._sizes = [EGO_SIZE]
        self.things: list[Thing] = []

    def add(self, thing: Thing) -> bool:
        """Puts something on the road unless something else is or comes there."""
        track = (thing.s, thing.v) + self._frames * np.asarray(thing.speed)
        length, width = thing.size[:2]
        # Along its side street a vehicle is as long as this street sees it wide.
        size = (width, length) if abs(np.cos(thing.turn)) < 0.5 else (length, width)
        apart = np.abs(np.stack(self._tracks) - track)
        room = (np.asarray(self._sizes) + size) / 2 + SPACE
        if (apart < room[:, None]).all(axis=-1).any():
            return False
        self._tracks.append(track)
        self._sizes.append(size)
        self.things.append(replace(thing, instance=len(self.things) + 1))
        return True

    def add_some(self, count: int, draw: Callable[[], Thing]) -> None:
        """Draws and adds things, each again when there is no room for it."""
        for _ in range(count):
            for _ in range(TRIES):
                if self.add(draw()):
                    break


def fill_road(
    rng: np.random.Generator, street: Street, profile: Profile, drive: np.ndarray
) -> list[Thing]:
    """Vehicles, cyclists and people, numbered as instances.

    Args:
        rng: Source of randomness.
        street: The ground.
        profile: Kind of the street.
        drive: (F, 2) s, v of the sensor.
    """
    road = _Roadway(drive)
    end = float(drive[-1, 0])
    trip = _Trip(end, end / max(1, len(drive) - 1), len(drive))
    # The same density on long drives; what is always there is always near.
    more = max(1.0, end / USUAL_DRIVE)
    wanted = (profile.trucks, profile.cyclists, profile.people, (0, profile.traffic))
    counts = [round(least * more) + int(rng.poisson(mean * more)) for least, mean in wanted]
    road.add_some(counts[0], lambda: _large(rng, street, trip))
    road.add_some(counts[1], lambda: _cyclist(rng, street, trip))
    road.add_some(counts[3], lambda: _moving_car(rng, street, trip))
    for thing in _parked(rng, street, profile):
        road.add(thing)
    road.add_some(counts[2], lambda: _pedestrian(rng, street, trip))
    return road.things


def _car_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Length, width and height of a car, an off-roader or a van."""
    style = rng.choice(3, p=(0.7, 0.2, 0.1))
    length = rng.uniform(*((3.7, 4.8), (4.3, 4.9), (4.8, 5.6))[style])
    width = rng.uniform(*((1.68, 1.85), (1.85, 1.95), (1.9, 2.0))[style])
    height = rng.uniform(*((1.4, 1.55), (1.62, 1.74), (1.9, 2.3))[style])
    return float(length), float(width), float(height)


def _make(
    rng: np.random.Generator,
    kind: str,
    place: tuple[float, float],
    turn: float,
    size: tuple[float, float, float],
    speed: tuple[float, float] = (0.0, 0.0),
) -> Thing:
    shade = float(rng.uniform(0.2, 1.6))
    seed = int(rng.integers(1 << 31))
    speed = (float(speed[0]), float(speed[1]))
    return Thing(kind, float(place[0]), float(place[1]), float(turn), size, shade, seed, speed)


def _parked(rng: np.random.Generator, street: Street, profile: Profile) -> Iterator[Thing]:
    """Cars along both kerbs of the street and of its side streets."""
    for side in (1, -1):
        s = street.knots[0] + 5 + rng.uniform(0, 5)
        while s < street.knots[-1] - 8:
            size = _car_size(rng)
            middle = s + size[0] / 2
            if rng.random() < profile.parked and not street.opens(middle, side, size[0] / 2 + 2.5):
                turn = (0 if side < 0 else np.pi) + (np.pi if rng.random() < 0.1 else 0.0)
                v = side * (street.half - 0.2 - size[1] / 2)
                yield _make(rng, 'car', (middle, v), turn + rng.normal(0, 0.015), size)
                s += size[0] + rng.uniform(0.5, 1.1)
            else:
                s += rng.uniform(2, 8)
    for crossing in street.crossings:
        for side in crossing.sides:
            for way in (1, -1):
                v = street.half + street.walk + rng.uniform(2, 9)
                while v < 42:
                    size = _car_size(rng)
                    s = crossing.s + way * (crossing.half - 0.2 - size[1] / 2)
                    if rng.random() < profile.parked + 0.15 and crossing.half > 3.2:
                        place = (s, side * (v + size[0] / 2))
                        yield _make(rng, 'car', place, way * np.pi / 2, size)
                    v += size[0] + rng.uniform(0.6, 5)


def _moving_car(rng: np.random.Generator, street: Street, trip: _Trip) -> Thing:
    """A car in either lane; those in the lane of the sensor drive about as fast as it."""
    size = _car_size(rng)
    if rng.random() < 0.65:
        speed = trip.pace * rng.uniform(0.8, 1.5) + 0.1
        # It passes the sensor somewhere on its way.
        s = rng.uniform(8, trip.end + min(60, speed * trip.frames + 15))
        return _make(rng, 'car', (s, lane(street)), np.pi, size, (-speed, 0))
    s = rng.choice((rng.uniform(9, 45), rng.uniform(-35, -9)))
    return _make(rng, 'car', (s, -lane(street)), 0, size, (trip.pace * rng.uniform(0.97, 1.1), 0))


def _large(rng: np.random.Generator, street: Street, trip: _Trip) -> Thing:
    """A truck or a bus: parked on the other side, coming towards the sensor, or ahead of it."""
    kind = str(rng.choice(('truck', 'bus'), p=(0.7, 0.3)))
    length = rng.uniform(6.5, 9) if kind == 'truck' else rng.uniform(9, 11)
    size = (float(length), float(rng.uniform(2.3, 2.5)), float(rng.uniform(2.9, 3.5)))
    choice = rng.choice(3, p=(0.4, 0.45, 0.15))
    if choice == 0:
        v = street.half - 0.15 - size[1] / 2
        return _make(rng, kind, (rng.uniform(12, trip.end + 40), v), np.pi, size)
    if choice == 1:
        speed = trip.pace * rng.uniform(0.7, 1.2) + 0.1
        s = rng.uniform(8, trip.end + min(50, speed * trip.frames + 20))
        return _make(rng, kind, (s, lane(street) + 0.3), np.pi, size, (-speed, 0))
    s = rng.uniform(22, 45)
    return _make(rng, kind, (s, -lane(street)), 0, size, (trip.pace * rng.uniform(1.0, 1.1), 0))


def _cyclist(rng: np.random.Generator, street: Street, trip: _Trip) -> Thing:
    """Somebody on a bicycle at the edge of a lane."""
    size = (1.75, 0.6, float(rng.uniform(1.7, 1.85)))
    speed = rng.uniform(0.3, 0.6)
    v = lane(street) + rng.uniform(0.5, 0.9)
    if rng.random() < 0.5:
        s = rng.uniform(6, trip.end + 8 + speed * min(trip.frames, 60))
        return _make(rng, 'cyclist', (s, v), np.pi, size, (-speed, 0))
    s = rng.uniform(7, 12 + 0.7 * trip.end)
    return _make(rng, 'cyclist', (s, -v), 0, size, (max(speed, 0.9 * trip.pace), 0))


def _pedestrian(rng: np.random.Generator, street: Street, trip: _Trip) -> Thing:
    """Somebody who walks along a sidewalk, stands there, or crosses the road."""
    size = (0.5, 0.55, float(rng.uniform(1.55, 1.9)))
    side = int(rng.choice((-1, 1)))
    s = rng.uniform(-8, trip.end + 25)
    v = side * (street.half + rng.uniform(0.95, street.walk - 0.3))
    choice = rng.choice(3, p=(0.55, 0.35, 0.1))
    if choice == 0:
        speed = rng.choice((-1, 1)) * rng.uniform(0.09, 0.16)
        return _make(rng, 'person', (s, v), 0 if speed > 0 else np.pi, size, (speed, 0))
    if choice == 1:
        return _make(rng, 'person', (s, v), rng.uniform(0, 2 * np.pi), size)
    v = side * rng.uniform(0.2, 1) * street.half
    speed = -side * rng.uniform(0.08, 0.14)
    turn = np.pi / 2 if speed > 0 else -np.pi / 2
    return _make(rng, 'person', (max(s, 12), v), turn, size, (0, speed))
