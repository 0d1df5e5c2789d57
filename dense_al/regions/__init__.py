"""Regions of an image: computed once, cached on disk, the same for everybody who asks."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dense_al.regions.base import Regions
from dense_al.regions.cache import RegionMaps, SampleRegions
from dense_al.regions.grid import Grid, Image
from dense_al.regions.images import ImageError, image_size, read_image
from dense_al.regions.superpixels import Superpixels
from dense_al.registry import UNITS

if TYPE_CHECKING:  # structures import torch, which would cost each worker process seconds
    from dense_al.structures import Manifest

for _cls in (Grid, Image, Superpixels):
    UNITS.register(_cls)


def build_regions(cfg: Any, manifest: 'Manifest', cache_dir: Path | str) -> SampleRegions:
    """Builds the units of a run from the config of its acquisition.

    Args:
        cfg: Such as ``dict(type='Superpixels', n_segments=64)``.
        manifest: The samples.
        cache_dir: Folder of the cache; each pool gets a folder of its own in it.

    Raises:
        ConfigError: Unknown type or key, or a value out of range.
    """
    pool = f'{manifest.digest}-{zlib.crc32(manifest.paths[0].encode()):08x}'
    maps = RegionMaps(UNITS.build(cfg, 'acquisition.unit'), Path(cache_dir) / pool)
    return SampleRegions(maps, manifest)


__all__ = [
    'Grid',
    'Image',
    'ImageError',
    'RegionMaps',
    'Regions',
    'SampleRegions',
    'Superpixels',
    'build_regions',
    'image_size',
    'read_image',
]
