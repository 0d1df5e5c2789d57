"""The world a config names."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dense_al.registry import ConfigError, check_keys, check_types, construct, nearest
from dense_al.sandbox.glyphs import GlyphsSpec
from dense_al.sandbox.glyphs_files import write_glyphs
from dense_al.sandbox.streets import StreetsSpec, write_streets
from dense_al.sandbox.town import TownSpec
from dense_al.sandbox.town_files import write_town
from dense_al.structures import Budget

WORLDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    'glyphs': (GlyphsSpec, write_glyphs),
    'streets': (StreetsSpec, write_streets),
    'town': (TownSpec, write_town),
}
KEYS = {
    'world': str,
    'root': str,
    'spec': dict[str, Any] | None,
    'pretrain': dict[str, Any] | None,
    'proposals': dict[str, Any] | None,
    'budget': dict[str, Any] | None,
    'metric': str | None,
}
PRETRAIN = {'checkpoint': str, 'scenes': int, 'iterations': int, 'window': int | None}


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
    check_types(sandbox, KEYS, 'sandbox')
    for key in ('world', 'root', *(('metric',) if 'metric' in sandbox else ())):
        if not sandbox.get(key):
            raise ConfigError(f'Expected the key `sandbox.{key}`, but got {sandbox.get(key)!r}')
    if sandbox.get('budget') is not None:
        construct(Budget, sandbox['budget'], 'sandbox.budget')
    if sandbox['world'] not in WORLDS:
        name = sandbox.get('world')
        raise ConfigError(f'Unknown `sandbox.world` {name!r}. {nearest(str(name), WORLDS)}')
    spec, write = WORLDS[sandbox['world']]
    made = construct(spec, sandbox.get('spec') or {}, 'sandbox.spec')
    with _writing('sandbox.root'):
        write(sandbox['root'], made)


@contextmanager
def _writing(field: str) -> Iterator[None]:
    """Names the key of a file or folder that cannot be written."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f'Could not write `{field}`: {error}') from error


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
    check_keys(given, PRETRAIN, 'sandbox.pretrain')
    check_types(given, PRETRAIN, 'sandbox.pretrain')
    if not given.get('checkpoint'):
        raise ConfigError('Expected the key `sandbox.pretrain.checkpoint`, which is required')
    for name in ('scenes', 'iterations', 'window'):
        if given.get(name) is not None and given[name] < 1:
            raise ConfigError(
                f'Expected `sandbox.pretrain.{name}` to be at least 1, but got {given[name]}'
            )
    backbone = (cfg.get('model') or {}).get('backbone')
    if not isinstance(backbone, Mapping):
        raise ConfigError(f'Expected the dict `model.backbone`, but got {backbone!r}')
    backbone = {k: v for k, v in backbone.items() if k != 'init_cfg'}
    with _writing('sandbox.pretrain.checkpoint'):
        try:
            pretrained_backbone(backbone, spec, given.pop('checkpoint'), **given)
        except OSError:
            raise
        except Exception as error:  # frameworks raise what they like
            raise ConfigError(f'Could not build `model.backbone`: {error}') from error


def _propose(cfg: Mapping[str, Any], spec: GlyphsSpec) -> None:
    from dense_al.proposals import ProposalSpec
    from dense_al.sandbox.proposals import sandbox_proposals

    given = dict(cfg['sandbox']['proposals'])
    check_keys(given, ('folder', *ProposalSpec.__dataclass_fields__), 'sandbox.proposals')
    check_types(given, {'folder': str | None}, 'sandbox.proposals')
    folder = given.pop('folder', None)
    maker = construct(ProposalSpec, given, 'sandbox.proposals')
    with _writing('sandbox.proposals.folder'):
        sandbox_proposals(cfg['sandbox']['root'], spec, folder, maker)
