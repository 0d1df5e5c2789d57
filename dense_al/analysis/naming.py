"""Names for methods, and what a config says without being run."""

import ast
import json
from collections.abc import Mapping
from typing import Any


def method_label(acquisition: Mapping[str, Any]) -> str:
    """A short name for an acquisition: its type, and the parts of a composed one.

    >>> method_label({'type': 'BoxInBox'})
    'BoxInBox'
    >>> margin, sampler = {'type': 'Margin'}, {'type': 'KCenter'}
    >>> method_label({'type': 'Composed', 'score': margin, 'sampler': sampler})
    'Margin + KCenter'
    """
    if acquisition.get('name'):
        return str(acquisition['name'])
    if acquisition.get('type') != 'Composed':
        return str(acquisition.get('type', ''))
    scores = acquisition.get('score')
    parts = [_type(s) for s in (scores if isinstance(scores, list | tuple) else [scores])]
    sampler = _type(acquisition.get('sampler'))
    parts += [sampler] if sampler != 'TopK' else []
    return ' + '.join(p for p in parts if p) or 'Composed'


def units_name(kind: str, count: float = 2) -> str:
    """What units of a kind are called when there are `count` of them.

    >>> units_name('region'), units_name('region', 1), units_name('tags')
    ('regions', 'region', 'tags')
    """
    return kind if kind.endswith('s') or count == 1 else f'{kind}s'


def literals(text: str) -> dict[str, Any]:
    """The top-level names of a Python config whose values are literals or `dict(...)` of them.

    The text is parsed, never run.

    >>> literals('seed = 3\\nbudget = dict(units=[1, 2])\\nother = open("x")')
    {'seed': 3, 'budget': {'units': [1, 2]}}
    """
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return {}
    found = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = _literal(node.value)
            except ValueError:
                continue
    return found


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        if node.args or any(k.arg is None for k in node.keywords):
            raise ValueError('not a literal')
        return {str(k.arg): _literal(k.value) for k in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    return ast.literal_eval(node)


def _type(cfg: Any) -> str:
    return str(cfg.get('type', '')) if isinstance(cfg, Mapping) else ''


def flat(value: Any, prefix: str = '') -> dict[str, str]:
    """A nested dict as one level: dotted keys, values as text.

    >>> flat({'sampler': {'type': 'TopK', 'k': 3}})
    {'sampler.type': 'TopK', 'sampler.k': '3'}
    """
    if isinstance(value, Mapping):
        parts = [flat(v, f'{prefix}.{k}' if prefix else str(k)) for k, v in value.items()]
        return {k: v for part in parts for k, v in part.items()}
    return {prefix: json.dumps(value, sort_keys=True).strip('"')}
