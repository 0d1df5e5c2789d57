"""Sizes, docstrings and return types of the package, by `ast`: `python tests/code_measures.py`."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

PACKAGE = Path(__file__).resolve().parents[1] / 'dense_al'
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measured:
    """One function.

    Attributes:
        where: File and name.
        lines: From `def` to its end.
        body: The same without the docstring.
        public: Neither it nor the class around it begins with an underscore, and it is not inside
            another function.
        method: Whether it is in a class.
        documented: Whether it has a docstring.
        typed: Whether it says what it returns.
    """

    where: str
    lines: int
    body: int
    public: bool
    method: bool
    documented: bool
    typed: bool


def files() -> list[Path]:
    """All modules but `__init__`."""
    return sorted(p for p in PACKAGE.rglob('*.py') if p.name != '__init__.py')


def functions(path: Path) -> Iterator[Measured]:
    """The functions of a file, those inside others as well."""
    name = str(path.relative_to(PACKAGE))
    yield from _inside(ast.parse(path.read_text()), name, public=True, method=False)


def _inside(node: ast.AST, where: str, public: bool, method: bool) -> Iterator[Measured]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            own = public and not child.name.startswith('_')
            yield _measured(child, f'{where}:{child.name}', own, method)
            yield from _inside(child, where, False, False)
        elif isinstance(child, ast.ClassDef):
            yield from _inside(child, where, public and not child.name.startswith('_'), True)
        else:
            yield from _inside(child, where, public, method)


def _measured(node: Function, where: str, public: bool, method: bool) -> Measured:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    docstring = 0
    if ast.get_docstring(node) is not None:
        text = node.body[0]
        docstring = (text.end_lineno or text.lineno) - text.lineno + 1
    typed = node.returns is not None
    return Measured(where, lines, lines - docstring, public, method, docstring > 0, typed)


def spread(values: list[int]) -> str:
    """median/p90/max."""
    return f'{median(values):g}/{quantiles(values, n=10)[-1]:.0f}/{max(values)}'


def main() -> None:
    """Prints the table."""
    sizes = [len(path.read_text().splitlines()) for path in files()]
    found = [f for path in files() for f in functions(path)]
    public = [f for f in found if f.public]
    parts = [node for path in files() for node in ast.walk(ast.parse(path.read_text()))]
    count = {kind: sum(isinstance(n, kind) for n in parts) for kind in (ast.Assert, ast.Raise)}
    for row in (
        ('Files, lines', f'{len(sizes)}, {sum(sizes):,}'),
        ('Lines/file: median/p90/max', spread(sizes)),
        ('Lines/function: median/p90/max', spread([f.lines for f in found])),
        ('... without docstrings', spread([f.body for f in found])),
        (
            'Docstrings/return types %',
            f'{100 * sum(f.documented for f in public) // len(public)}/'
            f'{100 * sum(f.typed for f in public) // len(public)}',
        ),
        ('`assert`/`raise`', f'{count[ast.Assert]}/{count[ast.Raise]}'),
    ):
        print(f'| {row[0]} | {row[1]} |')


if __name__ == '__main__':
    main()
