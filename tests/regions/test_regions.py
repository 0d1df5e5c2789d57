"""Region maps: partitions of the image, cached by what they depend on."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import ndimage

from dense_al.regions import (
    Grid,
    Image,
    ImageError,
    RegionMaps,
    SampleRegions,
    Superpixels,
    image_size,
    read_image,
)
from dense_al.regions import cache as cache_module
from dense_al.regions.base import relabelled
from dense_al.structures import Manifest


def picture(height=48, width=64, seed=0):
    """A smooth picture with two bright squares."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.uniform(0, 255, (height, width, 3)), (4, 4, 0))
    image[height // 4 : height // 2, width // 8 : width // 3] += 90
    image[height // 2 :, width // 2 :] += 60
    return np.clip(image, 0, 255).astype(np.uint8)


def save(path, image, **options):
    PillowImage.fromarray(image).save(path, **options)
    return path


@pytest.fixture
def pictures(tmp_path):
    return [
        (f'town/{i}.png', save(tmp_path / f'{i}.png', picture(40 + i, 60, seed=i)))
        for i in range(4)
    ]


def assert_partition(labels, shape):
    assert labels.shape == shape and labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


@pytest.mark.parametrize('shape', [(48, 64), (1, 1), (1, 30), (3, 2), (33, 31)])
@pytest.mark.parametrize(
    'regions',
    [Superpixels(n_segments=12), Superpixels(n_segments=5, sigma=1.0), Grid(size=7), Image()],
    ids=str,
)
def test_every_pixel_is_in_one_region(regions, shape):
    image = picture(*shape)
    labels = regions.map(image)
    assert_partition(labels, shape)
    np.testing.assert_array_equal(labels, regions.map(image.copy()))


def test_superpixels_are_connected_and_follow_edges():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 33:] = 255
    labels = Superpixels(n_segments=20).map(image)
    assert 10 < labels.max() + 1 < 40
    for region in range(labels.max() + 1):
        assert ndimage.label(labels == region)[1] == 1
    assert not set(labels[:, :33].ravel()) & set(labels[:, 33:].ravel())


def test_compactness_and_count_change_the_map():
    image = picture()
    few, many = (Superpixels(n_segments=n).map(image).max() for n in (4, 60))
    assert few < many
    loose, square = (Superpixels(compactness=c).map(image) for c in (1.0, 1000.0))
    assert (loose != square).any()


def test_an_image_without_contrast_has_regions():
    assert_partition(Superpixels(n_segments=9).map(np.full((30, 30, 3), 7, np.uint8)), (30, 30))


def test_grid_by_hand():
    expected = [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 3, 3]]
    np.testing.assert_array_equal(Grid(size=3).map_of_size(4, 5), expected)
    assert Grid(size=3).sizes_of(4, 5).tolist() == [9, 6, 3, 2]
    assert Grid(size=100).map_of_size(4, 5).max() == 0
    assert Image().sizes_of(4, 5).tolist() == [20]


@pytest.mark.parametrize('size', [1, 2, 7, 64])
def test_grid_sizes_are_counts(size):
    labels = Grid(size=size).map_of_size(33, 50)
    np.testing.assert_array_equal(Grid(size=size).sizes_of(33, 50), np.bincount(labels.ravel()))


def test_relabelled_closes_gaps():
    labels = relabelled(np.array([[9, 9, 2], [5, 2, 2]]))
    assert labels.tolist() == [[2, 2, 0], [1, 0, 0]] and labels.dtype == np.int32


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: Superpixels(n_segments=0), '`n_segments` to be a positive integer, but got 0'),
        (lambda: Superpixels(n_segments=4.0), '`n_segments` to be a positive integer, but got 4.0'),
        (lambda: Superpixels(n_segments=True), '`n_segments` to be a positive integer'),
        (lambda: Superpixels(compactness=0), '`compactness` to be a positive number, but got 0'),
        (lambda: Superpixels(sigma=-1), '`sigma` to be a number >= 0, but got -1'),
        (lambda: Superpixels(method='felz'), "`method` to be one of .*, but got 'felz'"),
        (lambda: Grid(size=0), '`size` to be a positive integer, but got 0'),
        (lambda: Grid().map_of_size(0, 3), '`height` to be a positive integer, but got 0'),
        (lambda: Grid().map(np.zeros((3, 3), np.uint8)), r'`image` of shape \(H, W, 3\)'),
        (lambda: Superpixels().map(np.zeros((3, 3, 3))), 'dtype uint8, but got .* float64'),
        (lambda: RegionMaps(Superpixels()), '`cache_dir` to be a folder for Superpixels'),
    ],
)
def test_errors_name_argument_and_value(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_seeds_without_the_contributed_modules(monkeypatch):
    cv2 = pytest.importorskip('cv2')
    monkeypatch.delattr(cv2, 'ximgproc', raising=False)
    with pytest.raises(ImportError, match='opencv-contrib-python'):
        Superpixels(method='seeds')


def test_seeds():
    cv2 = pytest.importorskip('cv2')
    if not hasattr(cv2, 'ximgproc'):
        pytest.skip("needs OpenCV's contributed modules")
    for shape in [(48, 64), (5, 5), (130, 33)]:
        labels = Superpixels(method='seeds', n_segments=12, sigma=0.5).map(picture(*shape))
        assert_partition(labels, shape)


def test_key_depends_on_class_parameters_and_versions(monkeypatch):
    kinds = [Superpixels(), Superpixels(n_segments=65), Superpixels(sigma=1), Grid(), Image()]
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert Superpixels().key == Superpixels(n_segments=64, sigma=0, compactness=10).key
    before = Superpixels().key
    monkeypatch.setattr('dense_al.regions.superpixels.version', lambda package: '0.0')
    assert Superpixels().key != before


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif', 'bmp'])
def test_images_are_read_as_mmcv_does(tmp_path, kind, orientation):
    mmcv = pytest.importorskip('mmcv')
    exif = PillowImage.Exif()
    exif[274] = orientation
    path = save(tmp_path / f'a.{kind}', picture(30, 20), exif=exif)
    image = read_image(path)
    np.testing.assert_array_equal(image, mmcv.imread(str(path))[..., ::-1])
    assert image_size(path) == image.shape[:2]


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', '1'])
def test_other_modes_become_rgb(tmp_path, mode):
    path = tmp_path / 'a.png'
    PillowImage.fromarray(picture()).convert(mode).save(path)
    assert read_image(path).shape == (48, 64, 3)


def test_pillow_alone_will_do(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png', picture())
    monkeypatch.setattr('dense_al.regions.images.cv2', None)
    np.testing.assert_array_equal(read_image(path), picture())


def damaged(kind):
    buffer = io.BytesIO()
    PillowImage.fromarray(picture()).save(buffer, kind)
    whole = buffer.getvalue()
    return {'cut': whole[: len(whole) // 2], 'empty': b'', 'text': b'not an image' * 9}


@pytest.mark.parametrize('harm', ['cut', 'empty', 'text'])
@pytest.mark.parametrize('kind', ['png', 'jpeg'])
def test_damaged_images_are_named(tmp_path, kind, harm):
    path = tmp_path / f'broken.{kind}'
    path.write_bytes(damaged(kind)[harm])
    maps = RegionMaps(Superpixels(n_segments=4), tmp_path / 'cache')
    with pytest.raises(ImageError, match=f'broken.{kind}'):
        maps.map('broken', path)
    with pytest.raises(ImageError, match=f'broken.{kind}'):
        maps.prepare([('broken', path, (48, 64))], workers=0, progress=False)
    assert not list((tmp_path / 'cache').rglob('*.npz'))


def test_missing_images_are_named(tmp_path):
    maps = RegionMaps(Superpixels(), tmp_path)
    for size in (None, (4, 4)):
        with pytest.raises(FileNotFoundError, match='nowhere.png'):
            maps.map('a', tmp_path / 'nowhere.png', size)


def test_map_is_computed_once(tmp_path, pictures, monkeypatch):
    name, path = pictures[0]
    regions = Superpixels(n_segments=12)
    first = RegionMaps(regions, tmp_path / 'cache')
    expected = first.map(name, path)
    np.testing.assert_array_equal(expected, regions.map(read_image(path)))
    monkeypatch.setattr(Superpixels, 'map', lambda *args: pytest.fail('computed again'))
    again = RegionMaps(Superpixels(n_segments=12), tmp_path / 'cache')
    for maps in (first, again):
        assert maps.map(name, path).dtype == np.int32
        np.testing.assert_array_equal(maps.map(name, path), expected)
        np.testing.assert_array_equal(maps.sizes(name), np.bincount(expected.ravel()))
        assert maps.sizes(name).dtype == np.int64
        assert maps.digest(name) == first.digest(name)
    assert again.map(name) is again.map(name)
    with pytest.raises(ValueError, match='read-only'):
        again.map(name)[0, 0] = 1


def test_summary_reads_no_map(tmp_path, pictures, monkeypatch):
    name, path = pictures[0]
    maps = RegionMaps(Superpixels(), tmp_path / 'cache')
    sizes, digest = maps.sizes(name, path), maps.digest(name)
    monkeypatch.setattr(cache_module, 'read_map', lambda path: pytest.fail('map was read'))
    fresh = RegionMaps(Superpixels(), tmp_path / 'cache')
    np.testing.assert_array_equal(fresh.sizes(name, size=(40, 60)), sizes)
    assert fresh.digest(name) == digest


def test_digest_tells_maps_apart(tmp_path, pictures):
    digests = {
        RegionMaps(regions, tmp_path / 'cache').digest(*pictures[0])
        for regions in (Superpixels(n_segments=9), Superpixels(n_segments=30), Grid(), Grid(size=9))
    }
    assert len(digests) == 4
    one_row, one_column = RegionMaps(Image()), RegionMaps(Image())
    assert one_row.digest('a', size=(1, 6)) != one_column.digest('a', size=(6, 1))


def test_names_sizes_and_parameters_have_files_of_their_own(tmp_path):
    cache = tmp_path / 'cache'
    for n in (4, 9):
        maps = RegionMaps(Superpixels(n_segments=n), cache)
        maps.map('a', lambda: picture(20, 30))
        maps.map('b', lambda: picture(20, 30))
        maps.map('a', lambda: picture(30, 20))
        assert maps.map('a').shape == (30, 20)
    assert len(list(cache.rglob('*.npz'))) == 6 and not list(cache.rglob('*.tmp'))


@pytest.mark.parametrize('content', [b'', b'garbage', None])
def test_damaged_cache_is_computed_again(tmp_path, pictures, content):
    name, path = pictures[0]
    maps = RegionMaps(Superpixels(), tmp_path / 'cache')
    expected, digest = maps.map(name, path), maps.digest(name)
    (file,) = (tmp_path / 'cache').rglob('*.npz')
    whole = file.read_bytes()
    file.write_bytes(whole[:-40] if content is None else content)
    again = RegionMaps(Superpixels(), tmp_path / 'cache')
    assert again.digest(name, path) == digest
    np.testing.assert_array_equal(again.map(name), expected)
    assert file.read_bytes() == whole


def test_a_failed_write_leaves_nothing(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(os, 'replace', lambda *args: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        RegionMaps(Superpixels(), tmp_path / 'cache').map(*pictures[0])
    assert not [p for p in (tmp_path / 'cache').rglob('*') if p.is_file()]


def test_size_that_does_not_fit_is_refused(tmp_path, pictures):
    with pytest.raises(ImageError, match=r'0.png.*\(9, 9\), but got \(40, 60\)'):
        RegionMaps(Superpixels(), tmp_path / 'cache').map(*pictures[0], (9, 9))


def test_unknown_names_are_refused(tmp_path):
    maps = RegionMaps(Superpixels(), tmp_path)
    with pytest.raises(ValueError, match='image of `a` or its size'):
        maps.map('a')
    with pytest.raises(ValueError, match='image of `a`, whose map is not in'):
        maps.map('a', size=(4, 5))


def test_memory_is_bounded(tmp_path):
    maps = RegionMaps(Grid(size=4), memory_bytes=2 * 4 * 100)
    for name in 'abc':
        maps.map(name, size=(10, 10))
    assert [name for name, _ in maps._maps] == ['b', 'c'] and maps._held == 800
    maps.map('b')
    maps.map('d', size=(10, 10))
    assert [name for name, _ in maps._maps] == ['b', 'd']
    none = RegionMaps(Grid(size=4), memory_bytes=0)
    assert none.map('a', size=(10, 10)).shape == (10, 10) and none._held == 0


def test_grid_touches_no_file(tmp_path):
    maps = RegionMaps(Grid(size=4), tmp_path / 'cache')
    assert maps.prepare([('a', 'nowhere.png', (8, 8))], progress=False) == 0
    assert maps.sizes('a').tolist() == [16] * 4 and len(maps.digest('a')) == 16
    assert not (tmp_path / 'cache').exists()


def test_prepare_in_processes_and_without(tmp_path, pictures, capfd, monkeypatch):
    monkeypatch.setattr('dense_al.progress.LOG_EVERY', 0.0)
    regions = Superpixels(n_segments=12)
    spread = RegionMaps(regions, tmp_path / 'spread')
    assert spread.prepare(pictures, workers=2) == 4
    assert '4/4' in capfd.readouterr().err
    alone = RegionMaps(regions, tmp_path / 'alone')
    assert alone.prepare(pictures[:1], workers=0, progress=False) == 1
    assert alone.prepare(pictures, workers=0, progress=False) == 3
    assert alone.prepare(pictures, workers=0) == 0
    assert capfd.readouterr().err == ''
    for name, path in pictures:
        np.testing.assert_array_equal(spread.map(name), regions.map(read_image(path)))
        np.testing.assert_array_equal(spread.map(name), alone.map(name))
        assert spread.digest(name) == alone.digest(name)


def test_prepare_names_the_damaged_image_of_a_process(tmp_path, pictures):
    pictures[1][1].write_bytes(damaged('png')['cut'])
    maps = RegionMaps(Superpixels(n_segments=4), tmp_path / 'cache')
    samples = [(name, path, (40 + i, 60)) for i, (name, path) in enumerate(pictures)]
    with pytest.raises(ImageError, match='1.png'):
        maps.prepare(samples, workers=2, progress=False)


def test_size_comes_from_the_header_alone(tmp_path):
    for kind in ('png', 'jpeg'):
        path = save(tmp_path / f'a.{kind}', picture())
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + whole[-20:])
        assert image_size(path) == (48, 64)


def test_a_cut_off_image_is_named_by_its_size_already(tmp_path):
    for kind in ('png', 'jpeg'):
        path = save(tmp_path / f'a.{kind}', picture())
        path.write_bytes(path.read_bytes()[:-100])
        for read in (image_size, read_image):
            with pytest.raises(ImageError, match=f'Could not read the image .*a.{kind}'):
                read(path)


def test_prepare_refuses_equal_names(tmp_path, pictures):
    with pytest.raises(ValueError, match='different names'):
        RegionMaps(Superpixels(), tmp_path).prepare(pictures + pictures[:1])


def test_samples_of_a_manifest(tmp_path, pictures):
    names, paths = zip(*pictures)
    sizes = [(40 + i, 60) for i in range(4)]
    manifest = Manifest.of_images(names, [str(path) for path in paths], sizes)
    maps = RegionMaps(Superpixels(n_segments=6), tmp_path / 'cache')
    samples = SampleRegions(maps, manifest)
    assert samples.prepare(workers=0, progress=False) == 4
    assert samples.map(2).shape == (42, 60)
    assert samples.sizes(2).sum() == 42 * 60
    assert samples.digest(2) == maps.digest(names[2])


def test_regions_import_no_torch():
    code = "import sys, dense_al.regions; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, '-c', code], cwd=root).returncode == 0
