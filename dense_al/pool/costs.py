"""What an answer is billed, in clicks and seconds, per kind of unit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dense_al.registry import ConfigError, check_keys
from dense_al.structures import Boxes, Pixels, answer_type


@dataclass(frozen=True)
class Price:
    """The price of a unit: share of its sample x whole + objects drawn in it x object + fixed.

    Attributes:
        whole_clicks: Clicks to label a whole sample densely.
        whole_seconds: Seconds to label a whole sample densely.
        fixed_clicks: Clicks for each unit whatever its size.
        fixed_seconds: Seconds for each unit whatever its size.
        object_clicks: Clicks for each object that is drawn.
        object_seconds: Seconds for each object that is drawn.
    """

    whole_clicks: float = 0.0
    whole_seconds: float = 0.0
    fixed_clicks: float = 0.0
    fixed_seconds: float = 0.0
    object_clicks: float = 0.0
    object_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not np.isfinite(value) or value < 0:
                raise ConfigError(
                    f'Expected the price `{name}` to be at least 0, but got {value!r}'
                )


# Cityscapes: 90 minutes per finely labelled image (Cordts et al. 2016, section 2.2); the 2,975
# training images hold 4,756,857 polygon vertices and 338,302 class clicks (Cai et al. 2021).
CITYSCAPES_SECONDS = 5400.0
CITYSCAPES_CLICKS = (4_756_857 + 338_302) / 2975
# A class chosen from a list for an outlined region or a marked pixel, a look at an image, or a
# class of an image without its place, 1 s; an extreme-point box with its class 7 s (Papadopoulos et
# al. 2017); whether a point lies on a given object 0.9 s (Cheng et al. 2022); the polygon of an
# object 79.2 s (COCO, Lin et al. 2014, section 4.3). Its clicks are not published: 34, as the
# polygons of cars and people in Cityscapes have (Castrejon et al. 2017).
POLYGON = {'clicks': 34.0, 'seconds': 79.2}
DEFAULT_PRICES: dict[str, Price] = {
    'image': Price(whole_clicks=CITYSCAPES_CLICKS, whole_seconds=CITYSCAPES_SECONDS),
    'region': Price(
        whole_clicks=CITYSCAPES_CLICKS,
        whole_seconds=CITYSCAPES_SECONDS,
        fixed_clicks=1.0,
        fixed_seconds=1.0,
    ),
    'dominant': Price(fixed_clicks=1.0, fixed_seconds=1.0),
    'pixel': Price(fixed_clicks=1.0, fixed_seconds=1.0),
    'boxes': Price(fixed_seconds=1.0, object_clicks=4.0, object_seconds=7.0),
    'tags': Price(object_clicks=1.0, object_seconds=1.0),
    'masks': Price(
        fixed_seconds=1.0,
        object_clicks=POLYGON['clicks'],
        object_seconds=POLYGON['seconds'],
    ),
    'instance': Price(fixed_clicks=POLYGON['clicks'], fixed_seconds=POLYGON['seconds']),
    'point': Price(fixed_clicks=1.0, fixed_seconds=0.9),
}


# Objects that get a box or a mask, and classes that are named, in an image of which nothing is
# known yet: the means of COCO (Lin et al. 2014, section 5).
EXPECTED_OBJECTS = {'image': 7.7, 'tags': 3.5}


class Prices:
    """The price table of a run.

    Args:
        table: Kind -> dict of `Price` fields that replace the defaults of that kind.
    """

    def __init__(self, table: Mapping[str, Mapping[str, float]] | None = None) -> None:
        check_keys(table or {}, DEFAULT_PRICES, 'oracle.prices')
        self._prices = dict(DEFAULT_PRICES)
        for kind, price in (table or {}).items():
            check_keys(price, Price.__dataclass_fields__, f'oracle.prices.{kind}')
            self._prices[kind] = Price(**price)

    def of(
        self,
        kind: str,
        size: np.ndarray,
        whole: np.ndarray,
        objects: np.ndarray | float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prices of units.

        Args:
            kind: `image` (labelled densely), `boxes` (an image whose objects get boxes), `masks`
                (an image whose objects get masks), `tags` (an image whose classes are named),
                `instance` (the mask of one object), `region` (labelled densely), `dominant` (one
                class for a whole region or image), `pixel` (its class) or `point` (whether it lies
                on an object).
            size: (N,) pixels or points of each unit.
            whole: (N,) pixels or points of the sample each unit lies in.
            objects: (N,) objects drawn or classes named in each unit; 0 where that is not known
                yet.

        Returns:
            Clicks (N,) float64 and seconds (N,) float64.
        """
        price = self._prices[kind]
        share = np.asarray(size, np.float64) / np.maximum(np.asarray(whole, np.float64), 1)
        return (
            share * price.whole_clicks + objects * price.object_clicks + price.fixed_clicks,
            share * price.whole_seconds + objects * price.object_seconds + price.fixed_seconds,
        )


def counts_objects(kind: str, form: str) -> bool:
    """Whether the price of a unit depends on how much is drawn in it, and is known only then.

    Args:
        kind: Kind of the unit.
        form: What a label of a whole sample is, `pixels`, `boxes` or `masks`.

    >>> counts_objects('image', 'boxes'), counts_objects('image', 'pixels')
    (True, False)
    """
    return answer_type(kind, form).counted


def price_kind(kind: str, form: str, points: int | None = None, dominant: bool = False) -> str:
    """The row of the price table: what it costs to label an image depends on what is drawn in it.

    Args:
        kind: Kind of the unit.
        form: What a label of a whole sample is, `pixels`, `boxes` or `masks`.
        points: Points that are asked of each object in the place of its mask, None for the mask.
        dominant: Whether a region or an image gets one class for all its pixels.

    >>> price_kind('image', 'boxes'), price_kind('image', 'pixels'), price_kind('region', 'pixels')
    ('boxes', 'image', 'region')
    >>> price_kind('image', 'masks'), price_kind('image', 'masks', points=1)
    ('masks', 'boxes')
    >>> price_kind('region', 'pixels', dominant=True), price_kind('point', 'pixels')
    ('dominant', 'pixel')
    """
    answer = answer_type(kind, form)
    if answer is Pixels:
        return 'pixel' if kind == 'point' else 'dominant' if dominant else kind
    if kind != 'image':
        return kind
    return form if points is None or answer is Boxes else 'boxes'
