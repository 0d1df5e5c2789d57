"""Registries that build strictly: an unknown name or key is an error that names the near misses."""

import difflib
import inspect
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar('T', bound=type)
LISTED = 40  # names in a message, at most


class ConfigError(ValueError):
    """A mistake in the configuration: what was expected, what came, the nearest valid name."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Says which valid names come close to `name`.

    Args:
        name: What the user wrote.
        valid: The names that would have been right.

    Returns:
        ``Did you mean `x`?``, or a list of the valid names when none comes close.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if close:
        return 'Did you mean ' + ' or '.join(f'`{c}`' for c in close) + '?'
    more = f' and {len(names) - LISTED} more' if len(names) > LISTED else ''
    return 'Valid names: ' + (', '.join(names[:LISTED]) or 'none') + more + '.'


def check_keys(cfg: Mapping[str, Any], valid: Iterable[str], field: str) -> None:
    """Raises `ConfigError` for the first key of `cfg` that is not in `valid`.

    Args:
        cfg: A dict of the user's config; anything else is an error as well.
        valid: The keys it may have.
        field: Where the dict stands in the config, for the message.
    """
    if not isinstance(cfg, Mapping):
        raise ConfigError(f'Expected `{field}` to be a dict, but got {cfg!r}')
    valid = list(valid)
    for key in cfg:
        if key not in valid:
            raise ConfigError(f'Unknown key `{field}.{key}`. {nearest(key, valid)}')


def check_types(cfg: Mapping[str, Any], hints: Mapping[str, Any], field: str) -> None:
    """Raises `ConfigError` for the first value of `cfg` that does not fit its annotation.

    Args:
        cfg: A dict of the user's config.
        hints: Key -> annotation, such as `int`, `float | None`, `tuple[float, ...]`; True and False
            are no numbers, NaN is none either, a tuple may come as a list. What has none fits.
        field: Where the dict stands in the config, for the message.

    >>> check_types({'size': 3.5}, {'size': int | None}, 'unit')
    Traceback (most recent call last):
    dense_al.registry.ConfigError: Expected `unit.size` to be an integer or None, but got 3.5
    """
    for key, value in cfg.items():
        if not _fits(value, hints.get(key, Any)):
            wanted = _described(hints[key])
            raise ConfigError(f'Expected `{field}.{key}` to be {wanted}, but got {value!r}')


def check_range(
    field: str, value: float, low: float, high: float = math.inf, *, above: bool = False
) -> None:
    """Raises `ConfigError` unless a number lies in [low, high], or in (low, high] if `above`.

    >>> check_range('acquisition.nms_iou', -1, 0, 1, above=True)
    Traceback (most recent call last):
    dense_al.registry.ConfigError: Expected `acquisition.nms_iou` in (0, 1], but got -1
    """
    if not low <= value <= high or (above and value == low):
        end = f'{high:g}]' if high < math.inf else 'inf)'
        raise ConfigError(
            f'Expected `{field}` in {"(" if above else "["}{low:g}, {end}, but got {value!r}'
        )


def construct(cls: Any, cfg: Mapping[str, Any], field: str, **given: Any) -> Any:
    """Calls a class with the values of a dict, strictly.

    Args:
        cls: The class; annotations of its arguments say what they may be.
        cfg: Keyword arguments from the user's config.
        field: Where the dict stands in the config, for messages.
        **given: Arguments from the program rather than from the config.

    Raises:
        ConfigError: An unknown key, a value of a wrong type, no value for a key that is required,
            or the class rejects a value.
    """
    parameters = inspect.signature(cls).parameters
    check_keys(cfg, [p for p in parameters if p not in given], field)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in {**cfg, **given}:
            raise ConfigError(f'Expected the key `{field}.{name}`, which is required')
    check_types(cfg, get_type_hints(cls.__init__), field)
    try:
        return cls(**cfg, **given)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f'In `{field}`: {error}') from error


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config is what an annotation says."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in inside)
    if origin in (list, tuple, Sequence):
        several = isinstance(value, (list, tuple))
        if origin is tuple and Ellipsis not in inside:
            return several and len(value) == len(inside) and all(map(_fits, value, inside))
        return several and all(_fits(v, inside[0]) for v in value)
    if hint in (int, float):
        number = isinstance(value, Integral if hint is int else Real)
        return number and not isinstance(value, bool) and not math.isnan(value)
    if hint in (bool, str, types.NoneType):
        return isinstance(value, hint)
    return not (hint is dict or origin in (dict, Mapping)) or isinstance(value, Mapping)


WORDS = {int: 'an integer', float: 'a number', bool: 'True or False', types.NoneType: 'None'}


def _described(hint: Any) -> str:
    """An annotation in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(map(_described, inside))
    if origin in (list, tuple, Sequence):
        fixed = origin is tuple and Ellipsis not in inside
        number = f' of {len(inside)}' if fixed else ''
        return f'a list{number}, each {_described(inside[0])}'
    return WORDS.get(hint, 'a string' if hint is str else 'a dict')


class Registry:
    """Maps names to classes and builds them from dicts of keyword arguments.

    Args:
        kind: What is registered, for messages ("acquisition", "sampler").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, cls: T) -> T:
        """Registers a class under its own name; use as a decorator."""
        if cls.__name__ in self._classes and self._classes[cls.__name__] is not cls:
            raise ValueError(f'A {self.kind} named `{cls.__name__}` is registered already')
        self._classes[cls.__name__] = cls
        return cls

    @property
    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self._classes)

    def get(self, name: str, field: str) -> type:
        """The class registered as `name`; `field` is the config key for the message."""
        if not isinstance(name, str):
            raise ConfigError(f'Expected `{field}.type` to be the name of a {self.kind}, '
                              f'but got {name!r}')  # fmt: skip
        if name not in self._classes:
            raise ConfigError(f'Unknown {self.kind} `{name}` in `{field}.type`. '
                              f'{nearest(name, self._classes)}')  # fmt: skip
        return self._classes[name]

    def build(self, cfg: Any, field: str, **given: Any) -> Any:
        """Builds an object from a dict with `type` and keyword arguments.

        Args:
            cfg: The dict, or an object that is built already (returned as it is).
            field: Where the dict stands in the config, for messages.
            **given: Arguments from the program rather than from the config.

        Returns:
            The object.

        Raises:
            ConfigError: `cfg` is no dict, has no `type`, names an unknown class or key, lacks a
                required key, or the class rejects a value.
        """
        if isinstance(cfg, tuple(self._classes.values())):
            return cfg
        if isinstance(cfg, str):
            cfg = {'type': cfg}
        if not isinstance(cfg, Mapping) or 'type' not in cfg:
            _check_type_key(cfg, field)
            raise ConfigError(
                f'Expected `{field}` to be a dict with the key `type` '
                f'(one of {", ".join(self.names)}), but got {cfg!r}'
            )
        cls = self.get(cfg['type'], f'{field}')
        arguments = {key: value for key, value in cfg.items() if key != 'type'}
        return construct(cls, arguments, field, **given)


def _check_type_key(cfg: Any, field: str) -> None:
    """Raises `ConfigError` for a key that is nearly `type`."""
    keys = [str(key) for key in cfg] if isinstance(cfg, Mapping) else []
    for key in difflib.get_close_matches('type', keys, n=1, cutoff=0.7):
        raise ConfigError(f'Unknown key `{field}.{key}`. {nearest(key, ["type"])}')


ACQUISITIONS = Registry('acquisition')
SCORES = Registry('score')
SAMPLERS = Registry('sampler')
AGGREGATES = Registry('aggregate')
UNITS = Registry('unit')
ORACLES = Registry('oracle')


def type_name(node: Any) -> str:
    """The type of a dict of a config without its scope, '' for what is no dict or has none.

    >>> type_name({'type': 'mmdet.PackDetInputs'}), type_name({'type': dict}), type_name(None)
    ('PackDetInputs', 'dict', '')
    """
    given = node.get('type', '') if isinstance(node, Mapping) else ''
    return str(getattr(given, '__name__', given)).rsplit('.', 1)[-1]
