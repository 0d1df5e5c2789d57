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
        sandbox: `world`: its name; `root`: its folder; `spec`: fields of its spec; `budget` and
            `metric`: what `--sandbox` puts in the place of a full-size config's. None: nothing.

    Raises:
        ConfigError: Unknown world or key.
    """
    if sandbox is None:
        return
    check_keys(sandbox, ('world', 'root', 'spec', 'pretrain', 'budget', 'metric'), 'sandbox')
    if sandbox.get('world') not in WORLDS:
        name = sandbox.get('world')
        raise ConfigError(f'Unknown `sandbox.world` {name!r}. {nearest(str(name), WORLDS)}')
    spec, write = WORLDS[sandbox['world']]
    given = sandbox.get('spec') or {}
    check_keys(given, spec.__dataclass_fields__, 'sandbox.spec')
    write(sandbox['root'], spec(**given))


def prepare_sandbox(cfg: Mapping[str, Any]) -> None:
    """Makes what a sandbox config needs, once: its world, and a backbone that has seen glyphs.

    Args:
        cfg: A whole config; `sandbox.pretrain` holds `checkpoint` and what `pretrained_backbone`
            takes besides.
    """
    sandbox = cfg.get('sandbox')
    write_world_of(sandbox)
    if sandbox is None or sandbox.get('pretrain') is None:
        return
    if sandbox['world'] != 'glyphs':
        raise ConfigError(
            f'Expected `sandbox.pretrain` in the world glyphs only, but got {sandbox["world"]!r}'
        )
    from dense_al.sandbox.pretrain import pretrained_backbone

    given = dict(sandbox['pretrain'])
    check_keys(given, ('checkpoint', 'scenes', 'iterations', 'window'), 'sandbox.pretrain')
    backbone = {k: v for k, v in cfg['model']['backbone'].items() if k != 'init_cfg'}
    spec = GlyphsSpec(**(sandbox.get('spec') or {}))
    pretrained_backbone(backbone, spec, given.pop('checkpoint'), **given)
