"""Load a config, validate the four dicts, apply --sandbox, write the resolved config."""

import ast
import difflib
import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dense_al import ops
from dense_al.registry import ConfigError, nearest, type_name

DICTS = ('acquisition', 'oracle', 'budget', 'rounds')
OPTIONAL = ('source', 'sandbox')
SANDBOXES = {
    'mmseg': '_base_/sandbox/streets.py',
    'mmdet': '_base_/sandbox/glyphs.py',
    'dense_al': '_base_/sandbox/town.py',
}
WEAK_SANDBOX = '_base_/sandbox/glyph_parts.py'  # for a detector that learns from tags
MASK_SANDBOX = '_base_/sandbox/glyphs_masks.py'  # for a model with a mask head
INSTALLED_BASE = re.compile(r'mm\w+::')
RELATIVE = ('percent', 'per_object')  # units of budgets that suit pools of any size


def load_config(path: str | Path, options: dict[str, Any] | None = None) -> Config:
    """Reads an mmengine config and checks that the four dicts are there.

    Args:
        path: The file; its `_base_` may name configs of the installed mmseg as ``mmseg::...``.
        options: Dotted key -> value, laid over the config.

    Raises:
        ConfigError: No such file, one that cannot be read, a missing `_base_`, a missing dict.
    """
    cfg = read_config(path)
    _lay_over(cfg, options, str(path))
    _check_near_misses(cfg)
    for key in DICTS:
        if not isinstance(cfg.get(key), dict):
            raise ConfigError(
                f'Expected the dict `{key}` in {path}, but got {cfg.get(key)!r}. '
                f'{nearest(key, [k for k in cfg if k not in DICTS])}'
            )
    return cfg


def _check_near_misses(cfg: Config) -> None:
    """Raises `ConfigError` for a dict whose name is nearly that of one of ours."""
    ours = (*DICTS, *OPTIONAL)
    others = [k for k in cfg if k not in ours and (cfg[k] is None or isinstance(cfg[k], dict))]
    for name in ours:
        for key in difflib.get_close_matches(name, others, n=1, cutoff=0.82):
            raise ConfigError(f'Unknown dict `{key}`. {nearest(key, ours)}')


def check_file(path: Path) -> None:
    """Raises `ConfigError` unless a path names a file, with the names beside it that come near."""
    if path.is_dir():
        raise ConfigError(f'Expected a config file, but {path} is a folder')
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob('*.py')] if path.parent.is_dir() else []
        raise ConfigError(
            f'Expected a config file, but {path} does not exist. {nearest(path.name, siblings)}'
        )


def read_config(path: str | Path, environment: bool = True) -> Config:
    """Reads an mmengine config, which need not have the four dicts.

    Args:
        path: The file; its `_base_` may name configs of the installed mmseg as ``mmseg::...``.
        environment: Whether ``{{$NAME:default}}`` becomes the value of the environment variable;
            left as it is the config reads the same on every machine.

    Raises:
        ConfigError: No such file, one that cannot be read, or a missing `_base_`.
    """
    path = Path(path)
    check_file(path)
    ops.install()  # modules that the config imports may load mmdet or mmseg
    with tempfile.TemporaryDirectory(prefix='dense_al_') as folder:
        try:
            file = str(_with_resolved_bases(path, Path(folder)))
            return Config.fromfile(file, use_environment_variables=environment)
        except (ConfigError, KeyboardInterrupt):
            raise
        except FileNotFoundError as error:
            raise ConfigError(f'In {path}: {error}') from error
        except Exception as error:  # a config is a program, which may fail in any way
            raise ConfigError(f'Could not read {path}: {type(error).__name__}: {error}') from error


def apply_sandbox(cfg: Config, configs: Path, options: dict[str, Any] | None = None) -> Config:
    """Replaces data, model and schedule by the sandbox of the task; the four dicts stay.

    Args:
        cfg: A full-size config.
        configs: The folder `configs` of this package.
        options: What the user laid over the config, and wants in the sandbox as well.

    Returns:
        The sandbox config; length of the rounds, metric and initial labels are the sandbox's, and a
        budget in absolute units, which was meant for a larger pool, becomes the sandbox's.

    Raises:
        ConfigError: No sandbox for the framework, or a value of a wrong type on the way.
    """
    path = _sandbox_of(cfg)
    small = Config.fromfile(str(configs / path))
    for key in DICTS:
        small[key] = cfg[key]
    if cfg['budget'].get('unit', 'units') not in RELATIVE:
        small['budget'] = small['sandbox']['budget']
    small['rounds'] = _sandbox_rounds(cfg, small, weak=path == WEAK_SANDBOX)
    _lay_over(small, options, f'the sandbox {path}')
    return small


def _lay_over(cfg: Config, options: dict[str, Any] | None, where: str) -> None:
    """Lays options over a config (in place)."""
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f'Could not lay {options} over {where}: {error}') from error


def _sandbox_of(cfg: Config) -> str:
    """The config of the sandbox that suits a model, below the folder `configs`."""
    scope = cfg.get('default_scope', 'mmseg')
    if not isinstance(scope, str) or scope not in SANDBOXES:
        raise ConfigError(f'Expected `default_scope` with a sandbox, but got {scope!r}. '
                          f'{nearest(str(scope), SANDBOXES)}')  # fmt: skip
    model = _dict_of(cfg, 'model')
    head = _dict_of(model, 'roi_head', 'model.')
    if type_name(head) == 'WeakRoIHead':
        return WEAK_SANDBOX
    if model.get('mask_head') or head.get('mask_head'):
        return MASK_SANDBOX
    return SANDBOXES[scope]


def _sandbox_rounds(cfg: Config, small: Config, weak: bool) -> dict[str, Any]:
    """`rounds` of a full-size config as the sandbox `small` can train them."""
    own = small['sandbox']
    dropped = ('iterations', 'epochs', 'metric', 'initial', 'later')
    rounds = {k: v for k, v in cfg['rounds'].items() if k not in dropped}
    count = rounds.get('count')
    if type(count) is not int or count < 1:
        raise ConfigError(
            f'Expected `rounds.count` to be an integer of at least 1, but got {count!r}'
        )
    length = int(small['train_cfg']['max_iters'])
    # Fine-tuning of a model that has seen all tags, or all boxes, is shorter.
    points = cfg['oracle'].get('points') is not None
    tuned = weak or points
    lengths = [length, *[3 * length // 10] * (count - 1)] if tuned else length
    rounds.update(iterations=lengths, metric=own['metric'])
    initial = _dict_of(cfg['rounds'], 'initial', 'rounds.')
    kept = {'acquisition': initial['acquisition']} if 'acquisition' in initial else {}
    drawn = kept.get('acquisition')
    tags = 'ImageTags' in (drawn, drawn.get('type') if isinstance(drawn, dict) else None)
    first = initial.get('budget') if tags or points else own['budget']
    return {**rounds, 'initial': {**kept, 'budget': first}}


def _dict_of(cfg: Any, key: str, prefix: str = '') -> dict[str, Any]:
    """A dict inside a config, empty where there is none."""
    found = cfg.get(key)
    if found is not None and not isinstance(found, dict):
        raise ConfigError(f'Expected `{prefix}{key}` to be a dict, but got {found!r}')
    return dict(found or {})


def _with_resolved_bases(path: Path, folder: Path) -> Path:
    """A config whose ``mmseg::`` bases, and those of its own bases, are paths into the package.

    mmengine looks for the package under a name that the maintained forks do not have.

    Args:
        path: The config.
        folder: Where copies go.

    Returns:
        A copy, or the config itself where it has no such base.
    """
    source = path.read_bytes()
    node, bases = _bases_of(source, path)
    found = [_resolved(base, path.parent, folder) for base in bases]
    if node is None or not any(changed for _, changed in found):
        return path
    lines = source.splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    copy = Path(tempfile.mkdtemp(dir=folder)) / path.name
    copy.write_bytes(source[:start] + repr([name for name, _ in found]).encode() + source[end:])
    return copy


def _bases_of(source: bytes, path: Path) -> tuple[ast.expr | None, list[str]]:
    """Where a config names its bases, and their names; none where they are not written out."""
    try:
        body = ast.parse(source).body if path.suffix == '.py' else []
        assigned = (node for node in body if isinstance(node, ast.Assign))
        node = next(n.value for n in assigned if ast.unparse(n.targets[0]) == '_base_')
        bases = ast.literal_eval(node)
    except (SyntaxError, ValueError, StopIteration):  # mmengine says what is wrong
        return None, []
    bases = [bases] if isinstance(bases, str) else bases
    written = isinstance(bases, (list, tuple)) and all(isinstance(b, str) for b in bases)
    return (node, list(bases)) if written else (None, [])


def _resolved(base: str, beside: Path, folder: Path) -> tuple[str, bool]:
    """The path of a base as a file beside this folder names it; whether it is another file now."""
    if INSTALLED_BASE.match(base):
        return str(_installed(base)), True
    file = Path(os.path.abspath(beside / base))
    found = _with_resolved_bases(file, folder) if file.is_file() else file
    return str(found), found != file


def _installed(base: str) -> Path:
    """The file of ``package::relative/path.py`` in the installed package."""
    package, relative = base.split('::', 1)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f'Expected an installed package for `{base}`, but `{package}` is not')
    root = Path(next(iter(spec.submodule_search_locations))) / '.mim' / 'configs'
    found = root / relative
    if not found.is_file():
        names = [str(p.relative_to(root)) for p in _configs(root)]
        raise ConfigError(f'Expected `{base}` to exist. {nearest(relative, names)}')
    return found


def _configs(root: Path) -> Iterator[Path]:
    return root.rglob('*.py')
