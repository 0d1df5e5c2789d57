"""Maps of a run's samples, images and scans alike: computed once, cached by what they depend on."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scan_layouts import write_semantic_kitti

from dense_al.datasets.semantic_kitti import read_semantic_kitti
from dense_al.regions import (
    BalancedClusters,
    Grid,
    Image,
    ImageError,
    RegionMaps,
    Superpixels,
    WorldCells,
    build_regions,
    read_image,
)
from dense_al.regions import cache as cache_module
from dense_al.regions.scan_base import world_of
from dense_al.registry import ConfigError
from dense_al.structures import Manifest

CLUSTERS = dict(type='BalancedClusters', n_regions=5)


@pytest.fixture
def images(tmp_path):
    """Four images of blocks, each one row higher than the one before."""
    paths = []
    for i in range(4):
        blocks = np.random.default_rng(i).integers(0, 256, (4, 6, 3), np.uint8)
        image = PillowImage.fromarray(blocks).resize((60, 40 + i), PillowImage.Resampling.NEAREST)
        paths.append(str(tmp_path / f'{i}.png'))
        image.save(paths[-1])
    names = [f'town/{i}.png' for i in range(4)]
    return Manifest.of_images(names, paths, [(40 + i, 60) for i in range(4)])


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


@pytest.fixture(params=['images', 'scans'])
def make(request, images, pool, tmp_path):
    """Makes maps of images or of scans, in a folder of the name given."""

    def maps(folder='cache', **options):
        if request.param == 'images':
            return RegionMaps(Superpixels(n_segments=12), images, tmp_path / folder, **options)
        regions, (scans, manifest) = BalancedClusters(n_regions=5), pool
        return RegionMaps(regions, manifest, tmp_path / folder, scans, **options)

    return maps


def files(folder):
    return sorted(folder.rglob('*.npz'))


def sized(*sizes):
    """Images that are nowhere."""
    names = [f'{i}.png' for i in range(len(sizes))]
    return Manifest.of_images(names, [f'nowhere/{name}' for name in names], sizes)


def test_map_is_computed_once(make, tmp_path, monkeypatch):
    first = make()
    expected = first.map(2).copy()
    assert len(files(tmp_path)) == 1
    for kind in (Superpixels, BalancedClusters):
        monkeypatch.setattr(kind, 'map', lambda *args: pytest.fail('computed again'))
    again = make()
    for maps in (first, again):
        assert maps.map(2).dtype == np.int32 and maps.map(2).shape == maps.manifest.size(2)
        np.testing.assert_array_equal(maps.map(2), expected)
        np.testing.assert_array_equal(maps.sizes(2), np.bincount(expected.ravel()))
        assert maps.sizes(2).dtype == np.int64
        assert maps.digest(2) == first.digest(2)
    assert again.map(2) is again.map(2)
    with pytest.raises(ValueError, match='read-only'):
        again.map(2)[0, 0] = 1


def test_maps_are_those_of_the_regions(images, pool, tmp_path):
    maps = RegionMaps(Superpixels(n_segments=12), images, tmp_path)
    scans, manifest = pool
    clusters = build_regions(CLUSTERS, manifest, tmp_path, scans)
    for sample in (0, 3):
        image, scan = read_image(images.paths[sample]), scans.load_scan(scans.records[sample])
        np.testing.assert_array_equal(maps.map(sample), Superpixels(n_segments=12).map(image))
        labels = clusters.regions.map(scan.points, scan.pose)
        np.testing.assert_array_equal(clusters.map(sample), labels[:, None])


def test_summary_reads_no_map(make, monkeypatch):
    maps = make()
    sizes, digest = maps.sizes(1), maps.digest(1)
    monkeypatch.setattr(cache_module, 'read_map', lambda path: pytest.fail('map was read'))
    fresh = make()
    np.testing.assert_array_equal(fresh.sizes(1), sizes)
    assert fresh.digest(1) == digest


def test_digest_tells_maps_apart(images, tmp_path):
    kinds = (Superpixels(n_segments=9), Superpixels(n_segments=30), Grid(), Grid(size=9))
    digests = {RegionMaps(regions, images, tmp_path / 'cache').digest(0) for regions in kinds}
    assert len(digests) == 4
    lines = RegionMaps(Image(), sized((1, 6), (6, 1)), tmp_path)
    assert lines.digest(0) != lines.digest(1)


def test_names_sizes_and_parameters_have_files_of_their_own(images, tmp_path):
    cache = tmp_path / 'cache'
    for n in (4, 9):
        for names, paths in (('ab', images.paths[:2]), ('a', images.paths[1:2])):
            sizes = [(40 + int(Path(path).stem), 60) for path in paths]
            maps = RegionMaps(
                Superpixels(n_segments=n), Manifest.of_images(list(names), paths, sizes), cache
            )
            assert [maps.map(i).shape for i in range(len(names))] == sizes
    assert len(files(cache)) == 6 and not list(cache.rglob('*.tmp'))


def test_files_stay_where_they_are(images, pool, tmp_path):
    """A cache of an earlier version is found."""
    scans, manifest = pool
    RegionMaps(Superpixels(), images, tmp_path / 'cache').map(0)
    RegionMaps(BalancedClusters(), manifest, tmp_path / 'cache', scans).map(0)
    RegionMaps(WorldCells(), manifest, tmp_path / 'cache', scans).map(0)
    found = {path.parts[-3].split('-')[0]: path for path in files(tmp_path / 'cache')}
    # SHA-256 of `town/0.png` and `00/000000`; of the latter and the pose.
    assert found['Superpixels'].name == 'fe2cf07f5554256de8d8fb3b-40x60.npz'
    assert found['BalancedClusters'].name == '9296e8d330d4bcbae1be17e8-400.npz'
    placed = hashlib.sha256(b'00/000000' + scans.records[0].pose.tobytes()).hexdigest()[:24]
    assert found['WorldCells'].name == f'{placed}-400.npz'
    assert all(path.parent.name == path.name[:2] for path in found.values())


@pytest.mark.parametrize('content', [b'', b'garbage', None])
def test_damaged_cache_is_computed_again(make, tmp_path, content):
    maps = make()
    expected, digest = maps.map(1), maps.digest(1)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-40] if content is None else content)
    again = make()
    assert again.digest(1) == digest
    np.testing.assert_array_equal(again.map(1), expected)
    assert file.read_bytes() == whole


def test_a_file_of_another_size_is_computed_again(make, tmp_path):
    maps = make()
    expected, digest = maps.map(1), maps.digest(1)
    (file,) = files(tmp_path)
    cache_module.write_map(file, np.zeros((3, 1), np.int32))
    assert make().digest(1) == digest
    cache_module.write_map(file, np.zeros((3, 1), np.int32))
    np.testing.assert_array_equal(make().map(1), expected)


def test_a_failed_write_leaves_nothing(make, tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'replace', lambda *args: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        make().map(0)
    assert not [p for p in (tmp_path / 'cache').rglob('*') if p.is_file()]


def test_size_that_does_not_fit_is_refused(images, pool, tmp_path):
    other = Manifest.of_images(images.names, images.paths, [(9, 9)] * 4)
    with pytest.raises(ImageError, match=r'0.png.*\(9, 9\), but got \(40, 60\)'):
        RegionMaps(Superpixels(), other, tmp_path / 'cache').map(0)
    scans, manifest = pool
    manifest.heights[0] += 1
    maps = RegionMaps(BalancedClusters(), manifest, tmp_path / 'cache', scans)
    for read in (maps.map, maps.points):
        with pytest.raises(ValueError, match='Expected 401 points in `00/000000`, but got 400'):
            read(0)


@pytest.mark.parametrize('workers', [0, 2])
def test_samples_that_cannot_be_read_are_named(images, tmp_path, workers):
    whole = Path(images.paths[1]).read_bytes()
    Path(images.paths[1]).write_bytes(whole[: len(whole) // 2])
    maps = RegionMaps(Superpixels(n_segments=4), images, tmp_path / 'cache')
    with pytest.raises(ImageError, match='1.png'):
        maps.prepare(workers=workers, progress=False)
    with pytest.raises(ImageError, match='1.png'):
        maps.map(1)
    assert len(files(tmp_path / 'cache')) < 4
    with pytest.raises(FileNotFoundError, match='nowhere/0.png'):
        RegionMaps(Superpixels(), sized((4, 4)), tmp_path).prepare(workers=0, progress=False)


def test_memory_is_bounded(tmp_path):
    manifest = sized(*[(10, 10)] * 4)
    maps = RegionMaps(Grid(size=4), manifest, tmp_path, memory_bytes=2 * 4 * 100)
    for sample in range(3):
        maps.map(sample)
    assert list(maps._maps) == [1, 2] and maps._held == 800
    maps.map(1)
    maps.map(3)
    assert list(maps._maps) == [1, 3]
    none = RegionMaps(Grid(size=4), manifest, tmp_path, memory_bytes=0)
    assert none.map(0).shape == (10, 10) and none._held == 0


def test_memory_of_scans_is_bounded(pool, tmp_path):
    scans, manifest = pool
    maps = RegionMaps(BalancedClusters(), manifest, tmp_path, scans, memory_bytes=3000)
    for sample in range(len(manifest)):
        maps.map(sample)
    assert len(maps._maps) == 1 and maps._held <= 3000


def test_grid_touches_no_file(tmp_path):
    maps = RegionMaps(Grid(size=4), sized((8, 8)), tmp_path / 'cache')
    assert maps.prepare(progress=False) == 0
    assert maps.sizes(0).tolist() == [16] * 4 and len(maps.digest(0)) == 16
    assert maps.map(0).max() == 3 and not (tmp_path / 'cache').exists()


def test_a_whole_scan_needs_no_file(pool, tmp_path):
    scans, manifest = pool
    units = build_regions(dict(type='Image'), manifest, tmp_path, scans)
    assert units.prepare() == 0 and units.sizes(3).tolist() == [400]
    assert units.map(3).tolist() == [[0]] * 400 and len(units.digest(3)) == 16
    assert not files(tmp_path)


def test_prepare_in_processes_and_without(make, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr('dense_al.progress.LOG_EVERY', 0.0)
    spread = make('spread')
    assert spread.prepare([0, 1, 2, 3], workers=2) == 4
    assert '4/4' in capfd.readouterr().err
    alone = make('alone')
    assert alone.prepare([0, 0], workers=0, progress=False) == 1
    assert alone.prepare(np.arange(4), workers=0, progress=False) == 3
    assert alone.prepare([0, 1, 2, 3], workers=0) == 0
    assert capfd.readouterr().err == ''
    assert alone.prepare(workers=0, progress=False) == len(alone.manifest) - 4
    for sample in range(4):
        np.testing.assert_array_equal(spread.map(sample), alone.map(sample))
        assert spread.digest(sample) == alone.digest(sample)


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


def test_images_have_no_places(images, tmp_path):
    maps = RegionMaps(Grid(), images, tmp_path)
    assert maps.groups(0) is None
    with pytest.raises(ValueError, match='a scan, which has points, but `town/2.png` is none'):
        maps.points(2)


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
    assert units.prepare(workers=0, progress=False) == len(manifest) - 2
    assert len(files(tmp_path)) == len(manifest)


def test_units_of_images_and_scans_are_not_mixed_up(pool, tmp_path):
    scans, manifest = pool
    with pytest.raises(ConfigError, match='`acquisition.unit` of scans, but got Superpixels'):
        build_regions(dict(type='Superpixels'), manifest, tmp_path, scans)
    with pytest.raises(ConfigError, match='`acquisition.unit` of scans, but got Grid'):
        build_regions(dict(type='Grid'), manifest, tmp_path, scans)
    with pytest.raises(ConfigError, match='`acquisition.unit` of images, but got WorldCells'):
        build_regions(dict(type='WorldCells'), manifest, tmp_path)
