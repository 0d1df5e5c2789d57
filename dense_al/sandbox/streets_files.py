"""Writing a generated world to disk so that it is there whole or not at all."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

WORLD_FILE = 'world.json'


def write_world(
    root: str | os.PathLike[str],
    world: dict[str, Any],
    files: Iterable[str],
    fill: Callable[[Path], None],
    *,
    overwrite: bool = False,
) -> Path:
    """Puts a world at `root`, once.

    The files are drawn into a temporary folder beside `root`, which is then renamed. Several
    processes may do so at once: one of them wins, the others find its world and drop theirs.

    Args:
        root: Folder of the world.
        world: What `world.json` holds; plain JSON data that describes the world completely.
        files: Paths of all other files, relative to `root`.
        fill: Draws all files into the folder it is given.
        overwrite: Replace another world at `root`. What is no world is never replaced.

    Returns:
        `root`.

    Raises:
        ValueError: `root` holds another world or something else.
    """
    root = Path(os.path.abspath(root))
    world = json.loads(json.dumps(world))
    names = list(files)
    if _is_there(root, world, names, overwrite):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = _beside(root)
    try:
        draft.mkdir()
        fill(draft)
        (draft / WORLD_FILE).write_text(json.dumps(world, indent=2) + '\n', encoding='utf-8')
        _move_in(draft, root, world, names, overwrite)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _beside(root: Path) -> Path:
    return root.parent / f'.{root.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp'


def _move_in(
    draft: Path, root: Path, world: dict[str, Any], names: list[str], overwrite: bool
) -> None:
    """Renames the draft to `root`, first moving away what may be replaced."""
    for _ in range(100):
        try:
            os.rename(draft, root)
            return
        except OSError:
            if not root.is_dir():
                raise
        if _is_there(root, world, names, overwrite):
            return
        old = _beside(root)
        try:
            os.rename(root, old)
        except FileNotFoundError:
            continue
        shutil.rmtree(old, ignore_errors=True)
    raise RuntimeError(f'Other processes keep replacing {root}')


def _is_there(root: Path, world: dict[str, Any], names: list[str], overwrite: bool) -> bool:
    """Whether `root` holds this world whole; raises where it may not be replaced."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise ValueError(f'Expected `root` to be a folder, but got the file {root}')
    try:
        found = json.loads((root / WORLD_FILE).read_text(encoding='utf-8'))
    except FileNotFoundError:
        if root.exists() and any(root.iterdir()):
            raise ValueError(
                f'Expected `root` to be a new folder or a generated world, but got {root} '
                f'with other files and no {WORLD_FILE}'
            ) from None
        return False
    except json.JSONDecodeError:
        found = {}
    if found == world:
        return all(_has_content(root / name) for name in names)
    if not overwrite:
        raise ValueError(
            f'Expected {root} to hold the same world, but got another one: '
            f'{"; ".join(differences(found, world))}. Delete it, or use another folder or '
            '`overwrite=True`'
        )
    return False


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def differences(found: Any, wanted: Any, name: str = '') -> list[str]:
    """One text per entry in which two pieces of JSON data differ."""
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return [] if found == wanted else [f'`{name}` is {found!r} there and {wanted!r} here']
    texts = []
    for key in sorted(found.keys() | wanted.keys()):
        inner = f'{name}.{key}' if name else str(key)
        texts += differences(found.get(key), wanted.get(key), inner)
    return texts
