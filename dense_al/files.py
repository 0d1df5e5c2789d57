"""Files that are there whole or not at all."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(
    path: str | os.PathLike[str],
    content: bytes | Callable[[BinaryIO], Any],
    *,
    alone: bool = False,
) -> None:
    """Writes a file to a temporary name beside it, brings it to the disk and renames it.

    Whatever happens, the path holds what it held before or all of the content.

    Args:
        path: The file; its folder is made if need be.
        content: The bytes, or what is called with the open temporary file to write them.
        alone: Whether no other process writes it. Then the temporary name is always the same, so
            that processes that are killed leave one such file; else processes do not mix.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / 'new' / 'a.txt', b'all')
    ...     (Path(folder) / 'new' / 'a.txt').read_text()
    'all'
    """
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = '' if alone else f'.{uuid.uuid4().hex[:12]}'
    temporary = path.with_name(f'.{path.name}{mark}.tmp')
    try:
        with open(temporary, 'wb') as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name as well
    finally:
        os.close(folder)
