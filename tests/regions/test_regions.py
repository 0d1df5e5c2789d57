"""Regions of images: partitions that tell what they depend on; and how images are read."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import ndimage

from dense_al.regions import Grid, Image, ImageError, Superpixels, image_size, read_image
from dense_al.regions.base import relabelled


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


def test_low_min_size_factor_keeps_small_pieces():
    image = picture(96, 128) + np.random.default_rng(0).normal(0, 12, (96, 128, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    factors = (0.5, 0.1, 0.01)
    maps = [Superpixels(n_segments=20, min_size_factor=f).map(image) for f in factors]
    counts = [labels.max() + 1 for labels in maps]
    assert counts[0] < counts[1] < counts[2]
    aimed_at = 96 * 128 / 20
    for labels, factor in zip(maps, factors):
        assert np.bincount(labels.ravel()).min() >= 0.8 * factor * aimed_at
    np.testing.assert_array_equal(maps[0], Superpixels(n_segments=20).map(image))


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
        (lambda: Superpixels(min_size_factor=-1), '`min_size_factor` to be a number >= 0, .* -1'),
        (lambda: Superpixels(method='felz'), "`method` to be one of .*, but got 'felz'"),
        (lambda: Grid(size=0), '`size` to be a positive integer, but got 0'),
        (lambda: Grid().map_of_size(0, 3), '`height` to be a positive integer, but got 0'),
        (lambda: Grid().map(np.zeros((3, 3), np.uint8)), r'`image` of shape \(H, W, 3\)'),
        (lambda: Superpixels().map(np.zeros((3, 3, 3))), 'dtype uint8, but got .* float64'),
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
    assert Superpixels(min_size_factor=0.1).key not in {kind.key for kind in kinds}
    # Stored maps and runs have keys of a time without it.
    assert Superpixels(min_size_factor=0.5).parameters == dict(
        n_segments=64, method='slic', compactness=10.0, sigma=0.0
    )
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
    for read in (image_size, read_image):
        with pytest.raises(ImageError, match=f'broken.{kind}'):
            read(path)


def test_missing_images_are_named(tmp_path):
    for read in (image_size, read_image):
        with pytest.raises(FileNotFoundError, match='nowhere.png'):
            read(tmp_path / 'nowhere.png')


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


def test_what_a_phone_appends_does_no_harm(tmp_path):
    for kind in ('png', 'jpeg'):
        path = save(tmp_path / f'a.{kind}', picture())
        path.write_bytes(path.read_bytes() + bytes(5000))
        assert image_size(path) == read_image(path).shape[:2] == (48, 64)


def test_regions_import_no_torch():
    code = "import sys, dense_al.regions; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, '-c', code], cwd=root).returncode == 0
