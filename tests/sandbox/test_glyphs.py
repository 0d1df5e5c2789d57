"""The world `glyphs`: reproducible, legible to a detector, COCO on disk."""

import dataclasses
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dense_al.registry import ConfigError
from dense_al.sandbox import (
    GLYPHS_SPLITS,
    GlyphsSpec,
    glyph_parts,
    glyphs_name,
    glyphs_sheet,
    render_glyphs,
    write_glyphs,
    write_world_of,
)
from dense_al.sandbox.glyphs import _frame
from dense_al.sandbox.glyphs_layout import MAX_OVERLAP
from dense_al.sandbox.glyphs_paint import list_photographs, mean_filter
from dense_al.sandbox.glyphs_sources import load_glyphs, read_idx

DEFAULT = GlyphsSpec()
LETTERS = GlyphsSpec(source='letters')
PARTS = GlyphsSpec(parts=1.0, mean_count=2.0)
MOVING = GlyphsSpec(frames_per_sequence=4)
SMALL = GlyphsSpec(seed=3, side=64, n_train=4, n_val=2, frames_per_sequence=3)
TOOL = Path(__file__).parents[2] / 'tools' / 'make_sandbox.py'


def scenes(spec, count=40, split='train'):
    return [render_glyphs(spec, split, index) for index in range(count)]


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize('split', GLYPHS_SPLITS)
@pytest.mark.parametrize('spec', [SMALL, LETTERS, dataclasses.replace(SMALL, parts=0.5)])
def test_shapes_and_types(spec, split):
    for index in range(5):
        image, boxes, labels, masks = render_glyphs(spec, split, index)
        count = len(labels)
        assert image.shape == (spec.side, spec.side, 3) and image.dtype == np.uint8
        assert boxes.shape == (count, 4) and boxes.dtype == np.float32
        assert labels.shape == (count,) and labels.dtype == np.int64
        assert masks.shape == (count, spec.side, spec.side) and masks.dtype == bool
        assert set(labels) <= set(range(len(spec.classes)))
        assert glyph_parts(spec, split, index).shape == (count, 4)


def test_background_only_images_have_empty_arrays():
    spec = dataclasses.replace(SMALL, mean_count=0.0)
    image, boxes, labels, masks = render_glyphs(spec, 'train', 0)
    assert image.std() > 5
    assert (boxes.shape, labels.shape, masks.shape) == ((0, 4), (0,), (0, 64, 64))
    assert glyph_parts(spec, 'train', 0).shape == (0, 4)
    empty = sum(len(scene.labels) == 0 for scene in scenes(DEFAULT, 300))
    assert 1 <= empty <= 15  # exp(-4) of them


def test_deterministic_and_leaves_global_randomness_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = render_glyphs(SMALL, 'train', 7)
    for index in range(6):
        render_glyphs(SMALL, 'val', index)
    assert same(first, render_glyphs(SMALL, 'train', 7))
    assert np.array_equal(before, np.random.get_state()[1])


def test_scene_depends_on_seed_split_and_index_only():
    scene = render_glyphs(SMALL, 'val', 1)
    more = dataclasses.replace(SMALL, n_train=99, n_val=50)
    assert same(scene, render_glyphs(more, 'val', 1))
    for other in (
        render_glyphs(dataclasses.replace(SMALL, seed=4), 'val', 1),
        render_glyphs(SMALL, 'val', 0),
        render_glyphs(SMALL, 'train', 1),
    ):
        assert not np.array_equal(scene.image, other.image)


@pytest.mark.parametrize('spec', [DEFAULT, LETTERS, PARTS, MOVING])
def test_boxes_are_tight_inside_and_not_degenerate(spec):
    seen = 0
    for scene in scenes(spec):
        for box, mask in zip(scene.boxes, scene.masks):
            x1, y1, x2, y2 = box.astype(int)
            assert 0 <= x1 and x1 + 3 <= x2 <= spec.side
            assert 0 <= y1 and y1 + 3 <= y2 <= spec.side
            assert mask.sum() == mask[y1:y2, x1:x2].sum()
            inner = mask[y1:y2, x1:x2]
            assert all(edge.any() for edge in (inner[0], inner[-1], inner[:, 0], inner[:, -1]))
            seen += 1
    assert seen > 40


@pytest.mark.parametrize('spec', [DEFAULT, PARTS, dataclasses.replace(DEFAULT, mean_count=30.0)])
def test_boxes_do_not_hide_one_another(spec):
    for scene in scenes(spec, 20):
        corners, areas = scene.boxes, np.prod(scene.boxes[:, 2:] - scene.boxes[:, :2], axis=1)
        low = np.maximum(corners[:, None, :2], corners[None, :, :2])
        high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
        share = np.clip(high - low, 0, None).prod(axis=2) / areas
        assert (share[~np.eye(len(areas), dtype=bool)] <= MAX_OVERLAP + 1e-6).all()


def test_sizes_keep_to_the_scale():
    spec = dataclasses.replace(DEFAULT, scale_low=0.2, scale_high=0.3)
    longer = [(s.boxes[:, 2:] - s.boxes[:, :2]).max(axis=1) for s in scenes(spec)]
    longer = np.concatenate(longer) / spec.side
    # Rotation and slant lengthen a glyph a little, the threshold of its mask shortens it.
    assert 0.17 < longer.min() < 0.23 and 0.27 < longer.max() < 0.36


def test_mean_count_is_kept():
    counts = np.array([len(scene.labels) for scene in scenes(DEFAULT, 400)])
    assert 3.6 < counts.mean() < 4.3
    assert 2.8 < counts.var() < 5.2
    crowded = [
        len(scene.labels) for scene in scenes(dataclasses.replace(DEFAULT, mean_count=90), 2)
    ]
    assert max(crowded) < 90  # the search for room ends


def test_glyphs_change_what_is_under_their_mask():
    spec = dataclasses.replace(DEFAULT, mean_count=1.0)
    for index in range(30):
        scene = render_glyphs(spec, 'train', index)
        background = mean_filter(255 * _frame(spec, 'train', index)[0])
        changed = np.abs(scene.image - background).max(axis=2)
        assert changed[~scene.masks.any(axis=0)].mean() < 2
        for mask in scene.masks:
            assert changed[mask].mean() > 20


def test_imbalance_is_of_train_only():
    def shares(imbalance, split):
        spec = dataclasses.replace(DEFAULT, imbalance=imbalance)
        labels = np.concatenate([scene.labels for scene in scenes(spec, 250, split)])
        return np.bincount(labels, minlength=10) / len(labels)

    wanted = 1 / np.arange(1, 11)
    assert np.abs(shares(1.0, 'train') - wanted / wanted.sum()).max() < 0.05
    assert np.abs(shares(0.0, 'train') - 0.1).max() < 0.05
    assert np.array_equal(shares(1.0, 'val'), shares(0.0, 'val'))


def test_frames_of_a_sequence_are_near_duplicates():
    images = np.stack([scene.image for scene in scenes(MOVING, 32)]).astype(float)
    images = images.reshape(8, 4, *images.shape[1:])
    within = np.abs(images[:, 1:] - images[:, :-1]).mean()
    between = np.abs(images[1:] - images[:-1]).mean()
    assert 0 < within < 0.35 * between
    for index in range(0, 32, 4):
        first, *others = (render_glyphs(MOVING, 'train', index + i) for i in range(4))
        for other in others:
            assert np.array_equal(first.labels, other.labels)
            # Camera and object move, and masks are rounded to pixels.
            assert np.abs(first.boxes - other.boxes).max(initial=0) <= 1.5 * 0.03 * 96 + 2
            assert not np.array_equal(first.image, other.image)
    still = dataclasses.replace(MOVING, frame_jitter=0.0)
    assert same(render_glyphs(still, 'train', 0), render_glyphs(still, 'train', 3))


def test_names_tell_sequence_and_frame():
    assert glyphs_name(SMALL, 'train', 2) == 'train000000_002'
    assert glyphs_name(SMALL, 'train', 3) == 'train000001_000'
    assert glyphs_name(SMALL, 'val', 3) == 'val000003_000'


@pytest.mark.parametrize('source', ['digits', 'letters'])
def test_val_shows_glyphs_that_train_never_shows(source):
    train, val = (load_glyphs(source, '', split) for split in GLYPHS_SPLITS)
    assert train.classes == val.classes
    shown = {image.tobytes() for image in train.images}
    assert not shown & {image.tobytes() for image in val.images}
    for glyphs in (train, val):
        assert all((glyphs.labels[m] == i).all() for i, m in enumerate(glyphs.members))
        assert min(map(len, glyphs.members)) >= 7


def test_parts_are_small_and_inside_their_body():
    seen = 0
    for index in range(40):
        scene, parts = render_glyphs(PARTS, 'train', index), glyph_parts(PARTS, 'train', index)
        for box, part in zip(scene.boxes, parts):
            assert (part[:2] >= box[:2]).all() and (part[2:] <= box[2:]).all()
            assert np.prod(box[2:] - box[:2]) >= 4 * np.prod(part[2:] - part[:2])
            seen += 1
    assert seen > 40


def test_parts_stand_out_and_bodies_are_faint_but_there():
    spec = dataclasses.replace(PARTS, mean_count=1.0)
    faint, strong = [], []
    for index in range(60):
        scene, parts = render_glyphs(spec, 'train', index), glyph_parts(spec, 'train', index)
        if len(parts) == 1:
            background = mean_filter(255 * _frame(spec, 'train', index)[0])
            changed = np.abs(scene.image - background).max(axis=2)
            x1, y1, x2, y2 = parts[0].astype(int)
            body = scene.masks[0].copy()
            body[y1:y2, x1:x2] = False
            faint.append(changed[body].mean())
            strong.append(np.percentile(changed[y1:y2, x1:x2], 90))
    assert 10 < np.mean(faint) < 50
    assert np.mean(strong) > 2 * np.mean(faint)


def test_share_of_parts_is_kept():
    spec = dataclasses.replace(DEFAULT, parts=0.5, mean_count=2.0)
    embodied = [t.body is not None for i in range(100) for t in _frame(spec, 'train', i)[1]]
    assert 0.35 < np.mean(embodied) < 0.6
    first = render_glyphs(DEFAULT, 'train', 0)
    assert np.array_equal(first.boxes, glyph_parts(DEFAULT, 'train', 0))


def test_coco_files(tmp_path):
    coco = pytest.importorskip('pycocotools.coco')
    spec = dataclasses.replace(SMALL, parts=0.3)
    root = write_glyphs(tmp_path / 'a' / 'world', spec)
    assert root == tmp_path / 'a' / 'world'
    for split in GLYPHS_SPLITS:
        data = coco.COCO(root / 'annotations' / f'instances_{split}.json')
        assert [c['name'] for c in data.loadCats(data.getCatIds())] == list('0123456789')
        assert sorted(data.getCatIds()) == list(range(1, 11))
        assert len(data.imgs) == spec.count(split)
        files = sorted(path.name for path in (root / 'images' / split).iterdir())
        assert files == [data.imgs[i]['file_name'] for i in range(spec.count(split))]
        for index in range(spec.count(split)):
            scene, parts = render_glyphs(spec, split, index), glyph_parts(spec, split, index)
            path = root / 'images' / split / data.imgs[index]['file_name']
            assert np.array_equal(np.asarray(Image.open(path)), scene.image)
            found = data.loadAnns(data.getAnnIds(imgIds=index))
            assert [f['category_id'] - 1 for f in found] == scene.labels.tolist()
            for entry, box, part, mask in zip(found, scene.boxes, parts, scene.masks):
                assert np.array_equal(data.annToMask(entry).astype(bool), mask)
                x, y, width, height = entry['bbox']
                assert [x, y, x + width, y + height] == box.tolist()
                assert entry['part_bbox'][:2] == part[:2].tolist()
                assert entry['area'] == mask.sum() and entry['iscrowd'] == 0
    world = json.loads((root / 'world.json').read_text())
    assert world['spec'] == dataclasses.asdict(spec)
    assert world['counts'] == {'train': 4, 'val': 2}
    assert world['classes'] == list('0123456789')
    assert [p.name for p in root.parent.iterdir()] == ['world']


def test_writing_is_idempotent_and_repairs(tmp_path):
    pytest.importorskip('pycocotools')
    root = write_glyphs(tmp_path / 'world', SMALL)
    before = tree(root)
    stamps = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    write_glyphs(root, SMALL)
    assert stamps == {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    next(root.rglob('*.png')).unlink()
    write_glyphs(root, SMALL)
    assert tree(root) == before
    other = dataclasses.replace(SMALL, n_val=1)
    with pytest.raises(ValueError, match=r'`spec\.n_val` is 2 there and 1 here'):
        write_glyphs(root, other)
    write_glyphs(root, other, overwrite=True)
    assert len(list((root / 'images' / 'val').iterdir())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['world']


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    pytest.importorskip('pycocotools')

    def stop(spec, split, index):
        if index == 3:
            raise KeyboardInterrupt
        return render_glyphs(spec, split, index)

    monkeypatch.setattr('dense_al.sandbox.glyphs_files.render_glyphs', stop)
    with pytest.raises(KeyboardInterrupt):
        write_glyphs(tmp_path / 'world', SMALL)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_world_is_never_replaced(tmp_path):
    (tmp_path / 'thesis.txt').write_text('three years')
    with pytest.raises(ValueError, match='Expected `root` to be a new folder'):
        write_glyphs(tmp_path, SMALL, overwrite=True)
    assert (tmp_path / 'thesis.txt').read_text() == 'three years'


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes()
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder, prefix, numbers, packed=True, transpose=False):
    """A data set whose every glyph of number n is a bar of length 6 + n, lying or standing."""
    folder.mkdir(exist_ok=True)
    for part, width in (('train', 4), ('test' if prefix else 't10k', 5)):
        images = np.zeros((len(numbers), 28, 28), np.uint8)
        for image, number in zip(images, numbers):
            image[3 : 3 + width, 2 : 8 + number % 20] = 255
        images = images.transpose(0, 2, 1) if transpose else images
        for kind, array in (('images-idx3', images), ('labels-idx1', np.asarray(numbers))):
            name, data = f'{prefix}{part}-{kind}-ubyte', idx_bytes(array)
            path = folder / (name + '.gz' * packed)
            path.write_bytes(gzip.compress(data) if packed else data)
    return str(folder)


@pytest.mark.parametrize('packed', [False, True])
def test_idx_digits(tmp_path, packed):
    root = write_idx(tmp_path / 'mnist', '', [3, 1, 4, 0, 2, 5, 6, 7, 8, 9, 9], packed)
    train, val = (load_glyphs('idx', root, split) for split in GLYPHS_SPLITS)
    assert train.images.shape == (11, 28, 28) and train.classes == tuple('0123456789')
    assert train.labels.tolist() == [3, 1, 4, 0, 2, 5, 6, 7, 8, 9, 9]
    assert [len(m) for m in train.members] == [1] * 9 + [2]
    assert not np.array_equal(train.images, val.images)
    spec = dataclasses.replace(SMALL, source='idx', idx_root=root)
    sizes = [(s.boxes[:, 2:] - s.boxes[:, :2]) for s in scenes(spec, 10)]
    widths, heights = np.concatenate(sizes).T
    assert np.mean(widths >= heights - 1) == 1  # the bars lie


@pytest.mark.parametrize(('prefix', 'first'), [('emnist-byclass-', 10), ('emnist-letters-', 1)])
def test_idx_letters_are_turned_and_other_classes_dropped(tmp_path, prefix, first):
    numbers = [*range(first, first + 26), first + 26, first - 1]
    root = write_idx(tmp_path / 'emnist', prefix, numbers, transpose=True)
    glyphs = load_glyphs('idx', root, 'val')
    assert glyphs.classes[0] == 'A' and len(glyphs.classes) == 26
    assert glyphs.labels.tolist() == list(range(26))
    assert glyphs.images[0, 3, 2:7].all() and not glyphs.images[0, 9].any()
    assert GlyphsSpec(source='idx', idx_root=root).classes == glyphs.classes


def test_idx_mistakes_are_named(tmp_path):
    path = tmp_path / 'x-idx1-ubyte'
    path.write_bytes(idx_bytes(np.arange(5)))
    assert read_idx(path).tolist() == [0, 1, 2, 3, 4]
    whole = path.read_bytes()
    for data, message in (
        (b'', 'Expected an IDX file of unsigned bytes'),
        (b'PNG and so on', 'Expected an IDX file of unsigned bytes'),
        (whole[:6], 'Expected an IDX file of unsigned bytes'),
        (whole[:-1], r'Expected \(5,\) bytes in .*, but got 4'),
        (gzip.compress(whole)[:-9], 'Expected a whole gzip file'),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            read_idx(path)
    spec = GlyphsSpec(source='idx', idx_root=str(tmp_path))
    with pytest.raises(ValueError, match='Expected one file train-images-idx.* but got none'):
        render_glyphs(spec, 'train', 0)
    root = write_idx(tmp_path / 'few', '', [0, 1])
    with pytest.raises(ValueError, match=r"train glyphs of every class, but got none of \['2'"):
        render_glyphs(GlyphsSpec(source='idx', idx_root=root), 'train', 0)


def test_photographs(tmp_path):
    pytest.importorskip('pycocotools')
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number in range(3):
        page = np.zeros((50 + 40 * number, 90, 3), np.uint8)
        page[..., number] = 200
        Image.fromarray(page).save(folder / f'{number}.png')
    assert [p.name for p in list_photographs(str(folder), 'train')] == ['0.png', '1.png']
    assert [p.name for p in list_photographs(str(folder), 'val')] == ['2.png']
    spec = dataclasses.replace(SMALL, backgrounds=str(folder), mean_count=0.0)
    assert (render_glyphs(spec, 'val', 0).image == (0, 0, 200)).all()
    shown = {tuple(render_glyphs(spec, 'train', i).image[0, 0]) for i in range(0, 30, 3)}
    assert shown == {(200, 0, 0), (0, 200, 0)}
    root = write_glyphs(tmp_path / 'world', spec)
    (folder / '2.png').rename(folder / '9.png')
    with pytest.raises(ValueError, match=r'`inputs\.backgrounds` is'):
        write_glyphs(root, spec)
    bare = dataclasses.replace(spec, backgrounds=str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='Expected `backgrounds` to hold at least 2 photographs'):
        render_glyphs(bare, 'train', 0)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(side=32), 'Expected `side` to be an integer of at least 48, but got 32'),
        (dict(n_train=1.5), 'Expected `n_train` to be an integer of at least 0, but got 1.5'),
        (dict(seed=True), 'Expected `seed` to be an integer of at least 0, but got True'),
        (dict(frames_per_sequence=0), '`frames_per_sequence` to be an integer of at least 1'),
        (dict(parts=1.2), 'Expected `parts` to be a number from 0 to 1, but got 1.2'),
        (dict(mean_count=float('nan')), 'Expected `mean_count` to be a number from 0 to 100'),
        (dict(imbalance='much'), "`imbalance` to be a number from 0 to 10, but got 'much'"),
        (dict(source='runes'), r"Expected `source` to be one of \('digits', .* but got 'runes'"),
        (dict(source='idx'), "Expected `idx_root` to be given with `source='idx'` and only then"),
        (dict(idx_root='x'), "Expected `idx_root` to be given with `source='idx'` and only then"),
        (dict(backgrounds=3), 'Expected `backgrounds` to be a text, but got 3'),
        (dict(scale_low=0.05), r'`scale_low` to be at least 8 pixels .* 0.05 \(4.8 pixels\)'),
        (dict(scale_high=0.1), 'Expected `scale_high` to be at least `scale_low` 0.18'),
        (dict(scale_low=0.3, parts=0.5), 'Expected `scale_low` to be at most 0.25 where `parts`'),
    ],
)
def test_wrong_settings_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        GlyphsSpec(**fields)


def test_wrong_scenes_are_named():
    with pytest.raises(ValueError, match="Expected `split` to be one of .* but got 'test'"):
        render_glyphs(SMALL, 'test', 0)
    with pytest.raises(ValueError, match='Expected `index` to be an integer of at least 0'):
        render_glyphs(SMALL, 'val', -1)


def test_an_image_takes_milliseconds():
    render_glyphs(DEFAULT, 'train', 10**6)  # loads the glyphs
    start = time.process_time()
    for index in range(60):
        render_glyphs(DEFAULT, 'train', 10**6 + 1 + index)
    assert time.process_time() - start < 6  # 0.3 s alone; a loop over pixels takes a minute


def test_sheet_shows_scenes_with_and_without_boxes():
    sheet = glyphs_sheet(SMALL, per_split=3, columns=3)
    assert sheet.shape == (2 * 2 * 3 * 64, 3 * 3 * 64, 3)
    image = render_glyphs(SMALL, 'train', 0).image
    assert np.array_equal(sheet[1 : 3 * 64 : 3, 1 : 3 * 64 : 3], image)
    assert glyphs_sheet(dataclasses.replace(SMALL, n_train=0, n_val=0)).any() == 0


def test_tool_and_config_write_the_world(tmp_path):
    pytest.importorskip('pycocotools')
    options = '--n-train 2 --n-val 1 --side 64 --source letters'.split()
    command = [sys.executable, TOOL, 'glyphs', tmp_path / 'world', *options]
    done = subprocess.run(
        [*command, '--contact-sheet', tmp_path / 'new/sheet.png'], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / 'new/sheet.png').size[0] > 64
    spec = dict(n_train=2, n_val=1, side=64, source='letters')
    write_world_of(dict(world='glyphs', root=str(tmp_path / 'other'), spec=spec))
    assert tree(tmp_path / 'world') == tree(tmp_path / 'other')
    with pytest.raises(ConfigError, match='sidee'):
        write_world_of(dict(world='glyphs', root=str(tmp_path / 'more'), spec=dict(sidee=64)))
