"""Kinds of streets of the world `town`, and what a thing in a street is."""

from dataclasses import dataclass, replace

from dense_al.sandbox.town_streets import Street

Range = tuple[float, float]


@dataclass(frozen=True)
class Profile:
    """How often things occur in one kind of street.

    Ranges are the least and largest value in metres. People, cyclists and trucks are a count that
    is always there and a mean number of more.

    Attributes:
        half: Half width of the road.
        walk: Width of the sidewalks.
        built: Share of plots with a house.
        plot: Width of a plot.
        gap: Land beside a house.
        setback: Land before a house.
        height: Height of a house without its roof.
        border: Probabilities of a fence and of a hedge before a plot.
        kerb: Probabilities of a tree, a sign, a bin and a bollard per 3 m of kerb.
        green: Trees and bushes per 100 m2 of land.
        parked: Share of the kerb where cars stand.
        traffic: Mean number of cars that move.
        trucks: Trucks and buses.
        people: Pedestrians.
        cyclists: People on bicycles.
    """

    half: Range
    walk: Range
    built: float
    plot: Range
    gap: Range
    setback: Range
    height: Range
    border: tuple[float, float]
    kerb: tuple[float, float, float, float]
    green: float
    parked: float
    traffic: float
    trucks: tuple[int, float]
    people: tuple[int, float]
    cyclists: tuple[int, float]


PROFILES: dict[str, Profile] = {
    'homes': Profile(
        half=(4.4, 4.9),
        walk=(1.7, 2.3),
        built=0.85,
        plot=(13, 20),
        gap=(3, 7),
        setback=(4, 7.5),
        height=(4.5, 7),
        border=(0.4, 0.4),
        kerb=(0.05, 0.06, 0.02, 0.0),
        green=2.6,
        parked=0.25,
        traffic=1.5,
        trucks=(0, 0.1),
        people=(0, 0.4),
        cyclists=(0, 0.2),
    ),
    'centre': Profile(
        half=(4.5, 5.2),
        walk=(2.8, 4.0),
        built=0.93,
        plot=(10, 18),
        gap=(0, 0.3),
        setback=(0.5, 0.8),
        height=(9, 16),
        border=(0.0, 0.0),
        kerb=(0.07, 0.14, 0.06, 0.1),
        green=1.0,
        parked=0.4,
        traffic=4,
        trucks=(1, 0.3),
        people=(5, 4),
        cyclists=(2, 1.0),
    ),
    'park': Profile(
        half=(4.4, 5.0),
        walk=(1.7, 2.5),
        built=0.15,
        plot=(14, 24),
        gap=(4, 8),
        setback=(6, 10),
        height=(4, 6),
        border=(0.3, 0.4),
        kerb=(0.16, 0.05, 0.01, 0.02),
        green=4.0,
        parked=0.12,
        traffic=2,
        trucks=(0, 0.0),
        people=(0, 1.0),
        cyclists=(0, 0.6),
    ),
    'main': Profile(
        half=(5.6, 6.8),
        walk=(2.2, 3.2),
        built=0.6,
        plot=(16, 30),
        gap=(4, 12),
        setback=(3, 8),
        height=(6, 13),
        border=(0.5, 0.2),
        kerb=(0.1, 0.12, 0.02, 0.02),
        green=1.6,
        parked=0.08,
        traffic=7,
        trucks=(3, 1.0),
        people=(0, 0.5),
        cyclists=(1, 0.5),
    ),
}
# Most streets are alike; people are in one of six on purpose, elsewhere by chance.
TRAIN_ORDER = ('homes', 'centre', 'park', 'main', 'homes', 'park')
# Streets to evaluate on have houses of all kinds and all that is rare.
MIXED = replace(
    PROFILES['centre'], trucks=(1, 0.0), people=(3, 2.0), cyclists=(1, 0.5), parked=0.25
)
OTHER_SHARE = {'train': 0.2, 'val': 1.0}  # of land that is as in another kind of street


@dataclass(frozen=True)
class Thing:
    """Something on the ground of a street.

    Attributes:
        kind: One of the `SHAPES`.
        s: Metres along the street, in frame 0.
        v: Metres to the left of its middle, in frame 0.
        turn: Radians from the direction of the street to that of the thing.
        size: Length, width, height in metres.
        shade: Factor on its reflectance.
        seed: What its details are drawn from.
        speed: Metres per frame along s and v.
        instance: From 1; 0 for what is no vehicle and nobody.
    """

    kind: str
    s: float
    v: float
    turn: float
    size: tuple[float, float, float]
    shade: float
    seed: int
    speed: tuple[float, float] = (0.0, 0.0)
    instance: int = 0

    @property
    def moves(self) -> bool:
        """Whether it is at other places in other frames."""
        return self.speed != (0.0, 0.0)


def lane(street: Street) -> float:
    """Metres from the middle of the road to that of a lane; cars fit between it and the kerb."""
    return max(1.1, street.half - 3.3)
