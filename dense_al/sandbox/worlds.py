"""The world a config names."""

from collections.abc import Callable, Mapping
from typing import Any

from dense_al.registry import ConfigError, check_keys, nearest
from dense_al.sandbox.glyphs import GlyphsSpec
from dense_al.sandbox.glyphs_files import write_glyphs
from dense_al.sandbox.streets import StreetsSpec, write_streets

WORLDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    'glyphs': (GlyphsSpec, write_glyphs),
    'streets': (StreetsSpec, write_streets),
}


def write_world_of(sandbox: Mapping[str, Any] | None) -> None:
    """Generates the world of a config's `sandbox` dict, unless it is there.

    Args:
        sandbox: `world`: its name; `root`: its folder; `spec`: fields of its spec. None: nothing.

    Raises:
        ConfigError: Unknown world or key.
    """
    if sandbox is None:
        return
    check_keys(sandbox, ('world', 'root', 'spec'), 'sandbox')
    if sandbox.get('world') not in WORLDS:
        name = sandbox.get('world')
        raise ConfigError(f'Unknown `sandbox.world` {name!r}. {nearest(str(name), WORLDS)}')
    spec, write = WORLDS[sandbox['world']]
    given = sandbox.get('spec') or {}
    check_keys(given, spec.__dataclass_fields__, 'sandbox.spec')
    write(sandbox['root'], spec(**given))
