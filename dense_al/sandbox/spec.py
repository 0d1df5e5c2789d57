"""Checks that the specs of all worlds share."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def is_int(value: Any) -> bool:
    """Whether a value is an integer; True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_numbers(
    spec: Any, least: Mapping[str, int], ranges: Mapping[str, tuple[float, float]]
) -> None:
    """Checks fields of a frozen dataclass and makes them plain int and float.

    Args:
        spec: The dataclass.
        least: Field -> least integer.
        ranges: Field -> least and largest number.

    Raises:
        ValueError: A field that is no number or out of range.
    """
    for name, low in least.items():
        value = getattr(spec, name)
        if not is_int(value) or value < low:
            raise ValueError(
                f'Expected `{name}` to be an integer of at least {low}, but got {value!r}'
            )
        object.__setattr__(spec, name, int(value))
    for name, (low_end, high_end) in ranges.items():
        value = getattr(spec, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not low_end <= value <= high_end:
            raise ValueError(
                f'Expected `{name}` to be a number from {low_end:g} to {high_end:g}, '
                f'but got {value!r}'
            )
        object.__setattr__(spec, name, float(value))
