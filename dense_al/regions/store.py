"""One region map as a file: compressed ids, sizes and digest, written whole or not at all."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from dense_al.files import write_atomically


class Summary(NamedTuple):
    """What is known of a map without its pixels.

    Attributes:
        sizes: (R,) int64 pixels of each region.
        digest: Hash of the map's shape and ids; 16 hexadecimal digits.
    """

    sizes: np.ndarray
    digest: str


def summary_of(labels: np.ndarray) -> Summary:
    """Sizes and digest of an (H, W) map with ids 0 to R-1."""
    digest = hashlib.sha256(repr(labels.shape).encode())
    digest.update(np.ascontiguousarray(labels, dtype='<i4').data)
    return Summary(np.bincount(labels.ravel()).astype(np.int64), digest.hexdigest()[:16])


def write_map(path: Path, labels: np.ndarray) -> Summary:
    """Writes an (H, W) map, whole or not at all.

    Args:
        path: The file; its folder is made if need be.
        labels: (H, W) integers, ids 0 to R-1.

    Returns:
        The sizes and the digest that were stored with it.
    """
    summary = summary_of(labels)
    short = labels.astype(np.min_scalar_type(len(summary.sizes) - 1))
    digest = np.array(summary.digest)

    def write(file: BinaryIO) -> None:
        np.savez_compressed(file, map=short, sizes=summary.sizes, digest=digest)

    write_atomically(path, write)
    return summary


def read_map(path: Path) -> tuple[np.ndarray, Summary] | None:
    """The map as (H, W) int32 with its summary; None if there is no file or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            labels = stored['map'].astype(np.int32)
            return labels, Summary(stored['sizes'], str(stored['digest']))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def read_summary(path: Path) -> Summary | None:
    """Sizes and digest without the map; None if there is no file or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Summary(stored['sizes'], str(stored['digest']))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
