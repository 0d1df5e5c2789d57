"""Mistakes that users make in configs, made at random: one per config, from a seed."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OURS = ('acquisition', 'oracle', 'budget', 'rounds', 'source', 'sandbox')
FRAMEWORK = (
    'model',
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'default_scope',
    'custom_imports',
)
FREE = (('source', 'dataset'), ('rounds', 'later'))  # of ours, what the framework reads
FILES = ('.json', '.pkl', '.txt', '.yaml', '.pth', '.png')
FOLDERS = ('root', 'data_root', 'img_path', 'seg_map_path', 'img', 'sub_data_root')
NOWHERE = '/dev/null/nowhere'  # nobody can make a folder there
BUDGETS: tuple[dict[str, Any], ...] = (
    dict(per_round=0),
    dict(per_round=-1),
    dict(per_round=10**12, unit='units'),
    dict(per_round=10**12, unit='pixels'),
    dict(per_round=10**12, unit='clicks'),
    dict(per_round=10**12, unit='seconds'),
    dict(per_round=200, unit='percent'),
    dict(per_round=1e-9, unit='percent'),
    dict(per_round='many'),
    dict(per_round=None),
    dict(per_round=True),
    dict(per_round=math.nan),
    dict(per_round=math.inf),
    dict(unit='persent'),
    dict(unit=None),
    dict(unit=5),
    dict(unit=['units']),
    dict(unit='per_object'),
)
Place = tuple[Any, ...]


@dataclass(frozen=True)
class Mutation:
    """One change to a config.

    Attributes:
        kind: One of `KINDS`.
        place: Keys from the top to what was changed.
        before: What stood there; of a misspelt key its right name.
        after: What stands there now; of a misspelt key its new name.
    """

    kind: str
    place: Place
    before: Any
    after: Any

    @property
    def ours(self) -> bool:
        """Whether this package reads what was changed, rather than the framework."""
        return self.place[0] in OURS and not any(self.place[: len(f)] == f for f in FREE)

    @property
    def name(self) -> str:
        """The place as users write it."""
        return '.'.join(str(key) for key in self.place)

    def __str__(self) -> str:
        return f'{self.kind}: {self.name}: {self.before!r:.60} -> {self.after!r:.60}'


def mutated(
    cfg: Mapping[str, Any], rng: np.random.Generator
) -> tuple[dict[str, Any], Mutation | None]:
    """A config with one mistake; the same one for the same state of `rng`.

    Args:
        cfg: A config as plain data.
        rng: Which mistake.

    Returns:
        The config and the mistake; None where the config has no place for it.
    """
    changed = copy.deepcopy(dict(cfg))
    kind = str(rng.choice(list(KINDS)))
    framework = kind != 'budget' and rng.random() < 0.25
    roots = [root for root in (FRAMEWORK if framework else OURS) if root in changed]
    return changed, KINDS[kind](changed, roots, rng)


def nodes(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """All places inside a nested config and what stands there, outermost first."""
    items: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    for key, value in items:
        yield (*place, key), value
        yield from nodes(value, (*place, key))


def write_config(cfg: Mapping[str, Any], path: Path) -> Path:
    """Writes plain data as a config file; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f'{key} = {_text(value)}\n' for key, value in cfg.items())
    path.write_text(''.join(lines), encoding='utf-8')
    return path


def _text(value: Any) -> str:
    """As `repr`, but what is not a number can be read back."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, dict):
        return '{' + ', '.join(f'{k!r}: {_text(v)}' for k, v in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        inside = ', '.join(map(_text, value)) + (',' if len(value) == 1 else '')
        return f'[{inside}]' if isinstance(value, list) else f'({inside})'
    return repr(value)


def _candidates(cfg: dict[str, Any], roots: list[str]) -> list[tuple[Place, Any]]:
    """All places below some roots, the roots with them."""
    return [found for root in roots for found in nodes({root: cfg[root]})]


def _picked(found: list[Any], rng: np.random.Generator) -> Any:
    return found[int(rng.integers(len(found)))] if found else None


def _put(cfg: dict[str, Any], place: Place, value: Any) -> None:
    """Replaces what stands at a place; tuples on the way become lists."""
    node: Any = cfg
    for key in place[:-1]:
        if isinstance(node[key], tuple):
            node[key] = list(node[key])
        node = node[key]
    node[place[-1]] = value


def _parent(cfg: dict[str, Any], place: Place) -> Any:
    node: Any = cfg
    for key in place[:-1]:
        node = node[key]
    return node


def _misspelt(cfg: dict[str, Any], roots: list[str], rng: np.random.Generator) -> Mutation | None:
    """A key, or the name of a type, with one slip."""
    found = [
        (place, value)
        for place, value in _candidates(cfg, roots)
        if isinstance(place[-1], str)
        and (len(place[-1]) > 3 or (place[-1] == 'type' and isinstance(value, str)))
    ]
    if not found:
        return None
    place, value = _picked(found, rng)
    if place[-1] == 'type' and isinstance(value, str) and rng.random() < 0.7:
        slip = _slip(value, rng)
        _put(cfg, place, slip)
        return Mutation('misspelt', place, value, slip)
    node, name = _parent(cfg, place), _slip(place[-1], rng)
    if name in node:
        return None
    items = [(name if key == place[-1] else key, node[key]) for key in node]
    node.clear()
    node.update(items)
    return Mutation('misspelt', place, place[-1], name)


def _slip(word: str, rng: np.random.Generator) -> str:
    """A letter left out, doubled, exchanged with the next or replaced by another."""
    at = int(rng.integers(1, len(word) - 1)) if len(word) > 2 else 0
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + ('x' if word[at] != 'x' else 'y') + word[at + 1 :],
    ]
    return next(slip for slip in np.roll(slips, int(rng.integers(4))).tolist() if slip != word)


def _deleted(cfg: dict[str, Any], roots: list[str], rng: np.random.Generator) -> Mutation | None:
    """A key left out."""
    found = [(p, v) for p, v in _candidates(cfg, roots) if isinstance(p[-1], str)]
    if not found:
        return None
    place, value = _picked(found, rng)
    del _parent(cfg, place)[place[-1]]
    return Mutation('deleted', place, value, None)


def _wrong_type(cfg: dict[str, Any], roots: list[str], rng: np.random.Generator) -> Mutation | None:
    """A value of another type, or a number out of every range."""
    found = _candidates(cfg, roots)
    if not found:
        return None
    place, value = _picked(found, rng)
    after = _picked([w for w in WRONG[_family(value)] if w is not value], rng)
    _put(cfg, place, copy.deepcopy(after))
    return Mutation('wrong type', place, value, after)


def _family(value: Any) -> str:
    families = ((bool, 'bool'), ((int, float), 'number'), (str, 'text'), (dict, 'dict'))
    named = next((name for kind, name in families if isinstance(value, kind)), None)
    return named or ('none' if value is None else 'list')


WRONG: dict[str, tuple[Any, ...]] = {
    'bool': ('yes', 7, None, [], {}, math.nan),
    'number': ('many', '3', None, True, [3], {}, math.nan, -1, -0.5, ''),
    'text': (3, None, True, [], {}, '', ['a'], -1, math.nan),
    'dict': ([], [1], 'text', 3, None, True, {}),
    'list': ('text', 3, {}, None, True, [], [None], ['a', 'b']),
    'none': ('text', 3.5, [1], {'a': 1}, True, -1),
}


def _missing_file(
    cfg: dict[str, Any], roots: list[str], rng: np.random.Generator
) -> Mutation | None:
    """A file or folder that is not there."""
    roots = [root for root in (*OURS, *FRAMEWORK) if root in cfg]
    found = [
        (place, value)
        for place, value in _candidates(cfg, roots)
        if isinstance(value, str)
        and '://' not in value
        and (value.endswith(FILES) or place[-1] in FOLDERS)
        and not str(place[-1]).endswith('suffix')
    ]
    if not found:
        return None
    place, value = _picked(found, rng)
    _put(cfg, place, NOWHERE)
    return Mutation('missing file', place, value, NOWHERE)


def _budget(cfg: dict[str, Any], roots: list[str], rng: np.random.Generator) -> Mutation | None:
    """A budget that nobody can keep."""
    places: list[Place] = [('budget',)]
    if isinstance((cfg['rounds'].get('initial') or {}).get('budget'), dict):
        places.append(('rounds', 'initial', 'budget'))
    place, change = _picked(places, rng), _picked(list(BUDGETS), rng)
    node = _parent(cfg, place)
    before = dict(node[place[-1]])
    node[place[-1]] = {**before, **change}
    return Mutation('budget', place, before, change)


def _swapped(cfg: dict[str, Any], roots: list[str], rng: np.random.Generator) -> Mutation | None:
    """Two values of one dict in each other's place."""
    found = [
        (place, node)
        for place, node in _candidates(cfg, roots)
        if isinstance(node, dict) and len(node) > 1
    ]
    if not found:
        return None
    place, node = _picked(found, rng)
    a, b = (list(node)[i] for i in rng.choice(len(node), 2, replace=False))
    before = {a: node[a], b: node[b]}
    node[a], node[b] = node[b], node[a]
    return Mutation('swapped', place, before, {a: node[a], b: node[b]})


KINDS: dict[str, Callable[[dict[str, Any], list[str], np.random.Generator], Mutation | None]] = {
    'misspelt': _misspelt,
    'deleted': _deleted,
    'wrong type': _wrong_type,
    'missing file': _missing_file,
    'budget': _budget,
    'swapped': _swapped,
}
