"""Streets of the world `town`: where the road runs, what it crosses, how high the ground lies.

Places on a street are (s, v): metres along the middle of the road and metres to the left of it.
"""

from dataclasses import dataclass

import numpy as np

REACH = 90.0  # metres of street before the first and behind the last place of the sensor
WIDE = 56.0  # metres of ground to the left and to the right
KERB = 0.13  # metres that sidewalks lie above roads
BEND = 1 / 110  # largest curvature, 1 / m; well below 1 / WIDE, so that places stay unique


@dataclass(frozen=True)
class Crossing:
    """A side street, at a right angle to the street.

    Attributes:
        s: Its middle.
        half: Half the width of its road.
        sides: Where it leads to, of 1 (left) and -1 (right).
    """

    s: float
    half: float
    sides: tuple[int, ...]


@dataclass(frozen=True)
class Street:
    """A road with sidewalks, its side streets, and the land along them.

    Attributes:
        knots: (K,) s of what follows, ascending.
        line: (K, 2) x, y of the middle of the road.
        bearing: (K,) direction of the road, radians from x to y.
        height: (K,) z of the road.
        half: Half the width of the road.
        walk: Width of a sidewalk.
        crossings: Side streets by s.
    """

    knots: np.ndarray
    line: np.ndarray
    bearing: np.ndarray
    height: np.ndarray
    half: float
    walk: float
    crossings: tuple[Crossing, ...]

    def direction(self, s: np.ndarray | float) -> np.ndarray:
        """Radians from x to the way along the street."""
        return np.interp(s, self.knots, self.bearing)

    def slope(self, s: np.ndarray | float) -> np.ndarray:
        """Metres up per metre along the street."""
        return np.interp(s, self.knots, np.gradient(self.height, self.knots))

    def locate(self, s: np.ndarray | float, v: np.ndarray | float) -> np.ndarray:
        """(..., 3) x, y, z of places on the level of the road."""
        angle = self.direction(s)
        x = np.interp(s, self.knots, self.line[:, 0]) - v * np.sin(angle)
        y = np.interp(s, self.knots, self.line[:, 1]) + v * np.cos(angle)
        z = np.interp(s, self.knots, self.height) + np.zeros_like(x)
        return np.stack([x, y, z], axis=-1)

    def stretch(self, s: float, v: float) -> float:
        """Metres at a place per metre of s there: below 1 inside of a bend."""
        ahead = self.direction(s + 2) - self.direction(s - 2)
        return float(1 - v * ahead / 4)

    def is_road(self, s: np.ndarray, v: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Whether places lie on a road, or less than a margin beside it."""
        found = np.abs(v) < self.half + margin
        for crossing in self.crossings:
            sides = np.isin(np.sign(v), crossing.sides)
            found |= sides & (np.abs(s - crossing.s) < crossing.half + margin)
        return found

    def level(self, s: float, v: float) -> float:
        """Metres that the ground lies above the level of the road."""
        return 0.0 if self.is_road(np.asarray(s), np.asarray(v)) else KERB

    def opens(self, s: float, side: int, margin: float) -> bool:
        """Whether a side street leaves to a side there, or less than a margin away."""
        return any(
            side in crossing.sides and abs(s - crossing.s) < crossing.half + margin
            for crossing in self.crossings
        )

    def stretches(self, side: int, margin: float) -> list[tuple[float, float]]:
        """Ends of the parts of a side between its side streets, which the margin is kept from."""
        at = [self.knots[0] + 5 - margin]
        for crossing in self.crossings:
            if side in crossing.sides:
                at += [crossing.s - crossing.half, crossing.s + crossing.half]
        at.append(self.knots[-1] - 5 + margin)
        ends = [(a + margin, b - margin) for a, b in zip(at[::2], at[1::2])]
        return [(float(a), float(b)) for a, b in ends if b > a]


def draw_street(
    rng: np.random.Generator, drive: float, half: tuple[float, float], walk: tuple[float, float]
) -> Street:
    """A street for a drive from s = 0.

    Args:
        rng: Source of randomness.
        drive: Metres.
        half: Least and largest half width of the road, metres.
        walk: Least and largest width of a sidewalk, metres.
    """
    knots = np.arange(-REACH, drive + REACH + 1.0)
    period = rng.uniform(130, 400)
    curvature = BEND * rng.uniform(-1, 1) * np.sin(2 * np.pi * (knots / period + rng.random()))
    bearing = np.cumsum(curvature)
    line = np.cumsum(np.stack([np.cos(bearing), np.sin(bearing)], axis=-1), axis=0)
    hills = rng.uniform(0.2, 0.9) * np.sin(
        2 * np.pi * (knots / rng.uniform(90, 200) + rng.random())
    )
    crossings, s = [], rng.uniform(-70, -35)
    while s < knots[-1] - 15:
        sides = ((1, -1), (1,), (-1,))[rng.choice(3, p=(0.5, 0.25, 0.25))]
        crossings.append(Crossing(float(s), float(rng.uniform(2.8, 4.2)), sides))
        s += rng.uniform(42, 85)
    return Street(
        knots=knots,
        line=line,
        bearing=bearing,
        height=hills,
        half=float(rng.uniform(*half)),
        walk=float(rng.uniform(*walk)),
        crossings=tuple(crossings),
    )
