"""Regions of an image or a scan: computed once, cached on disk, the same for everybody who asks."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dense_al.regions.base import Regions
from dense_al.regions.cache import RegionMaps
from dense_al.regions.grid import Grid, Image
from dense_al.regions.images import ImageError, image_size, read_image
from dense_al.regions.inputs import Scans
from dense_al.regions.scans import BalancedClusters, ScanRegions, Supervoxels, WorldCells
from dense_al.regions.superpixels import Superpixels
from dense_al.registry import UNITS, ConfigError

if TYPE_CHECKING:  # structures import torch, which would cost each worker process seconds
    from dense_al.structures import Manifest

for _cls in (Grid, Image, Superpixels, BalancedClusters, Supervoxels, WorldCells):
    UNITS.register(_cls)


def build_regions(
    cfg: Any, manifest: 'Manifest', cache_dir: Path | str, scans: Scans | None = None
) -> RegionMaps:
    """Builds the units of a run from the config of its acquisition.

    Args:
        cfg: Such as ``dict(type='Superpixels', n_segments=64)``.
        manifest: The samples.
        cache_dir: Folder of the cache; each pool gets a folder of its own in it.
        scans: Where the points of the samples come from, if they are scans.

    Raises:
        ConfigError: Unknown type or key, a value out of range, or units of scans for images.
    """
    folder = Path(cache_dir) / f'{manifest.digest}-{zlib.crc32(manifest.paths[0].encode()):08x}'
    regions = UNITS.build(cfg, 'acquisition.unit')
    kinds = Regions if scans is None else (ScanRegions, Image)
    if not isinstance(regions, kinds):
        of_scans = sorted(n for n in UNITS.names if issubclass(UNITS.get(n, ''), ScanRegions))
        raise ConfigError(
            f'Expected `acquisition.unit` of {"images" if scans is None else "scans"}, but got '
            f'{type(regions).__name__}; those of scans are Image, {", ".join(of_scans)}'
        )
    return RegionMaps(regions, manifest, folder, scans)


__all__ = [
    'BalancedClusters',
    'Grid',
    'Image',
    'ImageError',
    'RegionMaps',
    'Regions',
    'Superpixels',
    'Supervoxels',
    'WorldCells',
    'build_regions',
    'image_size',
    'read_image',
]
