"""Ways of dividing a LiDAR scan into regions."""

from dense_al.regions.balanced import BalancedClusters
from dense_al.regions.scan_base import ScanRegions, world_of
from dense_al.regions.supervoxels import Supervoxels
from dense_al.regions.world_cells import WorldCells

__all__ = ['BalancedClusters', 'ScanRegions', 'Supervoxels', 'WorldCells', 'world_of']
