"""Units of scans by sample: computed once, in parallel alike, and where they lie."""

import numpy as np
import pytest
from scan_layouts import write_semantic_kitti

from dense_al.datasets.semantic_kitti import read_semantic_kitti
from dense_al.regions import ScanUnits, build_regions
from dense_al.regions.scan_base import world_of
from dense_al.regions.scan_cache import ScanMaps
from dense_al.registry import ConfigError
from dense_al.structures import Manifest

CLUSTERS = dict(type='BalancedClusters', n_regions=5)


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    return write_semantic_kitti(tmp_path_factory.mktemp('data'), n_points=400)


@pytest.fixture
def pool(layout):
    scans = read_semantic_kitti(layout.root)
    n = len(scans)
    manifest = Manifest(
        names=tuple(r.name for r in scans.records),
        paths=tuple(r.points_path for r in scans.records),
        heights=scans.n_points, widths=np.ones(n, np.int64), domains=('target',) * n,
        sequences=tuple(r.sequence for r in scans.records),
        frames=np.array([r.frame for r in scans.records]),
    )  # fmt: skip
    return scans, manifest


def files(folder):
    return sorted(folder.rglob('*.npz'))


def test_maps_are_those_of_the_regions_and_kept(pool, tmp_path):
    scans, manifest = pool
    units = build_regions(CLUSTERS, manifest, tmp_path, scans)
    assert isinstance(units, ScanUnits)
    for sample in (0, 4):
        scan = scans.load_scan(scans.records[sample])
        labels = units.maps.regions.map(scan.points, scan.pose)
        found = units.map(sample)
        assert found.shape == (400, 1) and found.dtype == np.int32
        assert (found.ravel() == labels).all()
        assert units.sizes(sample).tolist() == np.bincount(labels).tolist()
        with pytest.raises(ValueError, match='read-only'):
            found[0] = 1
    assert len(files(tmp_path)) == 2
    again = build_regions(CLUSTERS, manifest, tmp_path, scans)
    again.maps.regions = None  # whatever is computed now would fail
    assert (again.map(4) == units.map(4)).all() and again.digest(4) == units.digest(4)
    assert again.sizes(0).tolist() == units.sizes(0).tolist()


def test_in_processes_as_without(pool, tmp_path):
    scans, manifest = pool
    one = build_regions(CLUSTERS, manifest, tmp_path / 'a', scans)
    two = build_regions(CLUSTERS, manifest, tmp_path / 'b', scans)
    assert one.prepare(workers=0, progress=False) == len(manifest)
    assert two.prepare([0, 1, 5], workers=2, progress=False) == 3
    assert two.prepare([0, 1, 5], workers=2, progress=False) == 0
    for sample in (0, 1, 5):
        assert one.digest(sample) == two.digest(sample)


def test_damaged_and_foreign_files_are_computed_again(pool, tmp_path):
    scans, manifest = pool
    units = build_regions(CLUSTERS, manifest, tmp_path, scans)
    expected = units.digest(0)
    files(tmp_path)[0].write_bytes(b'broken')
    assert build_regions(CLUSTERS, manifest, tmp_path, scans).digest(0) == expected


def test_places(pool, layout, tmp_path):
    scans, manifest = pool
    units = build_regions(CLUSTERS, manifest, tmp_path, scans)
    for sample in (0, 5):
        name = manifest.names[sample]
        world = layout.world[name.split('/')[0]][layout.orders[name]]
        first = np.linalg.inv(layout.poses[f'{name.split("/")[0]}/000000'])
        expected = world_of(world, first)
        points = units.points(sample)
        assert points.dtype == np.float32 and np.abs(points - expected).max() < 1e-3
        regions = units.map(sample).ravel()
        centres = [expected[regions == r].mean(0) for r in range(5)]
        assert np.abs(units.centres(sample) - centres).max() < 1e-3


def test_cells_of_the_world_are_shared_and_depend_on_the_pose(pool, tmp_path):
    scans, manifest = pool
    units = build_regions(dict(type='WorldCells', size=(8.0, 8.0)), manifest, tmp_path, scans)
    cells = [set(map(tuple, units.groups(s).tolist())) for s in (0, 1)]
    assert len(cells[0]) == len(units.sizes(0))
    # All frames see the same points of one street.
    assert len(cells[0] & cells[1]) >= 0.8 * len(cells[0])
    for sample in (0, 1):
        world = np.floor(units.points(sample)[:, :2] / 8.0)
        same = (world == units.groups(sample)[units.map(sample).ravel()]).all(1)
        assert same.mean() > 0.99
    assert build_regions(CLUSTERS, manifest, tmp_path, scans).groups(0) is None
    paths = {units.maps._path(s) for s in range(len(manifest))}
    assert len(paths) == len(manifest)


def test_a_whole_scan_needs_no_file(pool, tmp_path):
    scans, manifest = pool
    units = build_regions(dict(type='Image'), manifest, tmp_path, scans)
    assert units.prepare() == 0 and units.sizes(3).tolist() == [400]
    assert units.map(3).tolist() == [[0]] * 400 and not files(tmp_path)


def test_memory_is_bounded(pool, tmp_path):
    scans, manifest = pool
    regions = build_regions(CLUSTERS, manifest, tmp_path, scans).maps.regions
    maps = ScanMaps(regions, scans, manifest.areas, tmp_path, memory_bytes=3000)
    for sample in range(len(manifest)):
        maps.map(sample)
    assert len(maps._maps) == 1 and maps._held <= 3000


def test_units_of_images_and_scans_are_not_mixed_up(pool, tmp_path):
    scans, manifest = pool
    with pytest.raises(ConfigError, match='`acquisition.unit` of scans, but got Superpixels'):
        build_regions(dict(type='Superpixels'), manifest, tmp_path, scans)
    with pytest.raises(ConfigError, match='`acquisition.unit` of scans, but got Grid'):
        build_regions(dict(type='Grid'), manifest, tmp_path, scans)
    with pytest.raises(ConfigError, match='`acquisition.unit` of images, but got WorldCells'):
        build_regions(dict(type='WorldCells'), manifest, tmp_path)
