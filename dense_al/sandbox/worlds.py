"""The world a config names."""

from collections.abc import Callable, Mapping
from typing import Any

from dense_al.registry import ConfigError, check_keys, nearest
from dense_al.sandbox.glyphs import GlyphsSpec
from dense_al.sandbox.glyphs_files import write_glyphs
from dense_al.sandbox.streets import StreetsSpec, write_streets
from dense_al.sandbox.town import TownSpec
from dense_al.sandbox.town_files import write_town

WORLDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    'glyphs': (GlyphsSpec, write_glyphs),
    'streets': (StreetsSpec, write_streets),
    'town': (TownSpec, write_town),
}
KEYS = ('world', 'root', 'spec', 'pretrain', 'proposals', 'budget', 'metric')


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
    check_keys(sandbox, KEYS, 'sandbox')
    if sandbox.get('world') not in WORLDS:
        name = sandbox.get('world')
        raise ConfigError(f'Unknown `sandbox.world` {name!r}. {nearest(str(name), WORLDS)}')
    spec, write = WORLDS[sandbox['world']]
    given = sandbox.get('spec') or {}
    check_keys(given, spec.__dataclass_fields__, 'sandbox.spec')
    write(sandbox['root'], spec(**given))


def prepare_sandbox(cfg: Mapping[str, Any]) -> None:
    """Makes what a sandbox config needs, once: its world, a backbone that has seen glyphs, boxes.

    Args:
        cfg: A whole config; `sandbox.pretrain` holds `checkpoint` and what `pretrained_backbone`
            takes besides; `sandbox.proposals` fields of `ProposalSpec` and perhaps `folder`, where
            to put `proposals_train.pkl` and `proposals_val.pkl` (the world's folder by default).

    Raises:
        ConfigError: Unknown world or key, a wrong value, or a world other than glyphs where only
            that one will do.
    """
    sandbox = cfg.get('sandbox')
    write_world_of(sandbox)
    for key, make in (('pretrain', _pretrain), ('proposals', _propose)):
        if sandbox is not None and sandbox.get(key) is not None:
            if sandbox['world'] != 'glyphs':
                raise ConfigError(
                    f'Expected `sandbox.{key}` in the world glyphs only, '
                    f'but got {sandbox["world"]!r}'
                )
            make(cfg, GlyphsSpec(**(sandbox.get('spec') or {})))


def _pretrain(cfg: Mapping[str, Any], spec: GlyphsSpec) -> None:
    from dense_al.sandbox.pretrain import pretrained_backbone

    given = dict(cfg['sandbox']['pretrain'])
    check_keys(given, ('checkpoint', 'scenes', 'iterations', 'window'), 'sandbox.pretrain')
    backbone = {k: v for k, v in cfg['model']['backbone'].items() if k != 'init_cfg'}
    try:
        pretrained_backbone(backbone, spec, given.pop('checkpoint'), **given)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ConfigError(f'Could not build `model.backbone`: {error}') from error


def _propose(cfg: Mapping[str, Any], spec: GlyphsSpec) -> None:
    from dense_al.proposals import ProposalSpec
    from dense_al.sandbox.proposals import sandbox_proposals

    given = dict(cfg['sandbox']['proposals'])
    check_keys(given, ('folder', *ProposalSpec.__dataclass_fields__), 'sandbox.proposals')
    folder = given.pop('folder', None)
    try:
        maker = ProposalSpec(**given)
    except ValueError as error:
        raise ConfigError(f'In `sandbox.proposals`: {error}') from error
    sandbox_proposals(cfg['sandbox']['root'], spec, folder, maker)
