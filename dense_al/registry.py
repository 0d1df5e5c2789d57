"""Registries that build strictly: an unknown name or key is an error that names the near misses."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar('T', bound=type)


class ConfigError(ValueError):
    """A mistake in the configuration: what was expected, what came, the nearest valid name."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Says which valid names come close to `name`.

    Args:
        name: What the user wrote.
        valid: The names that would have been right.

    Returns:
        ``Did you mean `x`?``, or the list of all valid names when none comes close.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if close:
        return 'Did you mean ' + ' or '.join(f'`{c}`' for c in close) + '?'
    return 'Valid names: ' + (', '.join(names) or 'none') + '.'


def check_keys(cfg: Mapping[str, Any], valid: Iterable[str], field: str) -> None:
    """Raises `ConfigError` for the first key of `cfg` that is not in `valid`.

    Args:
        cfg: A dict of the user's config.
        valid: The keys it may have.
        field: Where the dict stands in the config, for the message.
    """
    valid = list(valid)
    for key in cfg:
        if key not in valid:
            raise ConfigError(f'Unknown key `{field}.{key}`. {nearest(key, valid)}')


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
            raise ConfigError(
                f'Expected `{field}` to be a dict with the key `type` '
                f'(one of {", ".join(self.names)}), but got {cfg!r}'
            )
        cls = self.get(cfg['type'], f'{field}')
        arguments = {key: value for key, value in cfg.items() if key != 'type'}
        parameters = inspect.signature(cls).parameters
        check_keys(arguments, [p for p in parameters if p not in given], field)
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in {**arguments, **given}:
                raise ConfigError(f'Expected the key `{field}.{name}`, which is required')
        try:
            return cls(**arguments, **given)
        except ConfigError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(f'In `{field}`: {error}') from error


ACQUISITIONS = Registry('acquisition')
SCORES = Registry('score')
SAMPLERS = Registry('sampler')
AGGREGATES = Registry('aggregate')
UNITS = Registry('unit')
ORACLES = Registry('oracle')
