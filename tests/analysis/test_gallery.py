import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dense_al.analysis import load_run, region_maps_of, round_panels
from dense_al.analysis.drawing import (
    OUTLINE,
    crop_box,
    decode_answers,
    outlines,
    overlay,
    palette,
    render,
)
from dense_al.analysis.gallery import write_panels
from dense_al.structures import Boxes, Pixels, Tags

from .conftest import region_map, truth_of


@pytest.mark.parametrize('width', [1, 2])
def test_outlines_equal_a_loop(width):
    rng = np.random.default_rng(0)
    units = np.kron(rng.integers(-1, 3, (5, 6)), np.ones((4, 4), int))
    inner, outer = outlines(units, width)
    for y, x in np.ndindex(units.shape):
        near = []
        for step in range(1, width + 1):
            for dy, dx in ((step, 0), (-step, 0), (0, step), (0, -step)):
                inside = 0 <= y + dy < units.shape[0] and 0 <= x + dx < units.shape[1]
                near.append(units[y + dy, x + dx] if inside else -1)
        asked = units[y, x] != -1
        assert inner[y, x] == (asked and any(n != units[y, x] for n in near))
        assert outer[y, x] == (not asked and any(n != -1 for n in near))


def test_decodes_what_was_encoded():
    rng = np.random.default_rng(1)
    regions = rng.integers(0, 9, (20, 30))
    truth = rng.integers(0, 5, (20, 30)).astype(np.uint8)
    units = [7, 2, 5]
    out = decode_answers(regions, units, [Pixels(truth[regions == u]).encode() for u in units])
    asked = np.isin(regions, units)
    np.testing.assert_array_equal(out, np.where(asked, truth, 255))


def test_refuses_payloads_of_other_regions():
    with pytest.raises(ValueError, match='Expected 4 labels for unit 0, but got 3'):
        decode_answers(np.zeros((2, 2), int), [0], [Pixels(np.zeros(3, np.uint8)).encode()])


def test_palette_is_distinct():
    assert len(np.unique(palette(40), axis=0)) == 40


def test_overlay_mixes_colours():
    image, labels = np.zeros((1, 3, 3), np.uint8), np.array([[0, 1, 255]], np.uint8)
    out = overlay(image, labels, np.array([(100, 0, 0), (0, 200, 0)], np.uint8))
    assert out[0].tolist() == [[65, 0, 0], [0, 130, 0], [97, 97, 97]]


def test_crop_holds_what_was_asked():
    asked = np.zeros((400, 600), bool)
    asked[350:395, 20:60] = True
    rows, columns = crop_box(asked)
    assert asked[rows, columns].sum() == asked.sum()
    assert rows.stop - rows.start == columns.stop - columns.start < 200
    asked[:, 0] = True
    assert crop_box(asked) == (slice(0, 400), slice(0, 600))


def test_render_draws_borders_after_scaling():
    units = np.full((10, 10), -1)
    units[2:5, 2:5] = 3
    pictures = render(np.zeros((10, 10, 3), np.uint8), units, colours=palette(2), side=100)
    yellow = (pictures['asked'] == OUTLINE).all(-1)
    assert pictures['asked'].shape == (100, 100, 3)
    assert yellow[20:50, 20:50].sum() == yellow.sum() == 4 * 29
    with pytest.raises(ValueError, match='Expected units of shape'):
        render(np.zeros((9, 10, 3), np.uint8), units, colours=palette(2))


def test_panels_show_the_best_samples_first(runs_folder):
    run = load_run(runs_folder / 'entropy/seed_0')
    panels = round_panels(run, 1, region_map, lambda r, s: truth_of(s), max_images=3)
    asked = run.rounds[1].query_table()['sample'].to_pylist()
    assert [p.sample for p in panels] == list(dict.fromkeys(asked))[:3]
    for panel in panels:
        assert panel.units == asked.count(panel.sample)
        assert asked[panel.best_rank - 1] == panel.sample
        assert list(panel.pictures) == ['asked', 'answered', 'predicted'] and not panel.note


def test_panels_say_what_is_missing(runs_folder, write_run):
    run = load_run(runs_folder / 'entropy/seed_0')
    panel = round_panels(run, 0, max_images=1)[0]
    assert list(panel.pictures) == ['asked'] and 'outlines of its regions' in panel.note
    wrong = round_panels(run, 0, lambda s: region_map(s) // 2, max_images=1)[0]
    assert 'are these the regions of the run?' in wrong.note
    assert round_panels(run, 4, region_map) == []
    with pytest.raises(ValueError, match='Expected a round among'):
        round_panels(run, 9)
    gone = load_run(write_run(rounds=2))
    for path in write_run.paths:
        path.unlink()
    assert round_panels(gone, 0, region_map, max_images=1)[0].note.startswith('Cannot be drawn')


def test_whole_images_need_no_regions(write_run):
    run = load_run(write_run(kind='image', rounds=3))
    panel = round_panels(run, 0)[0]
    assert list(panel.pictures) == ['asked', 'answered'] and not panel.note


def test_tags_are_named_below_the_image(write_run):
    work_dir = write_run(kind='image', rounds=2)
    path = work_dir / 'rounds/000'
    query = json.loads((path / 'query.json').read_text())
    (path / 'query.json').write_text(json.dumps({**query, 'kind': 'tags'}))
    table = pq.read_table(path / 'answers.parquet').to_pylist()
    said = [Tags([1, 3]).encode(), b'', *[Tags([]).encode()] * len(table)]
    rows = [{**row, 'kind': 'tags', 'payload': tags} for row, tags in zip(table, said)]
    pq.write_table(pa.Table.from_pylist(rows), path / 'answers.parquet')
    run = load_run(work_dir)
    for predict in (None, lambda r, s: Boxes([[1, 1, 9, 9]], [0])):
        first, second = round_panels(run, 0, region_map, predict)
        assert 'asked' in first.pictures and first.note == 'Tags: building, car.'
        assert 'asked' in second.pictures and second.note == ''


def test_a_sample_nobody_answered_has_no_answers(write_run):
    work_dir = write_run(kind='image', rounds=2)
    path = work_dir / 'rounds/000/answers.parquet'
    table = pq.read_table(path)
    best = load_run(work_dir).rounds[0].query_table()['sample'][0].as_py()
    pq.write_table(table.filter(table['sample'].to_numpy() != best), path)
    first, second = round_panels(load_run(work_dir), 0, max_images=2)
    assert 'asked' in first.pictures and not first.note
    assert list(second.pictures) == ['asked', 'answered']


def test_a_model_that_fails_leaves_the_rest(runs_folder):
    def predict(number, sample):
        raise RuntimeError('no such operator')

    panel = round_panels(load_run(runs_folder / 'entropy/seed_0'), 1, region_map, predict)[0]
    assert list(panel.pictures) == ['asked', 'answered']
    assert panel.note == 'No prediction: RuntimeError: no such operator'


def test_images_are_shown_as_they_are_labelled(write_run):
    run = load_run(write_run(kind='image', rounds=2))
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned
    for path in write_run.paths:
        turned = Image.open(path).convert('RGB').transpose(Image.Transpose.ROTATE_90)
        turned.save(path, exif=exif)
    panel = round_panels(run, 0, side=128)[0]
    assert panel.pictures['asked'].shape == (96, 128, 3) and not panel.note


def test_what_regions_come_from_may_be_gone(write_run):
    path = write_run(rounds=2)
    recorded = {'regions': {'type': 'Grid', 'size': 16}, 'cache_dir': 'cache', 'scan_columns': 4}
    (path / 'environment.json').write_text(json.dumps(recorded))
    (path / 'config.py').unlink()  # which names the scans
    maps = region_maps_of(path)
    panel = round_panels(load_run(path), 0, maps)[0]
    assert panel.note.startswith('Cannot be drawn')


def test_waiting_query_has_no_answers(write_run):
    run = load_run(write_run(rounds=1, stop='query'))
    assert list(round_panels(run, 0, region_map)[0].pictures) == ['asked']


def test_writes_files(runs_folder, tmp_path):
    run = load_run(runs_folder / 'random/seed_0')
    paths = write_panels(run, -1, tmp_path, region_map, max_images=2, side=64)
    assert len(paths) == 2 and paths[0].name.startswith('initial_rank00001_street_')
    assert Image.open(paths[0]).size == (128, 48)


def test_no_region_maps_recorded(runs_folder):
    assert region_maps_of(runs_folder / 'random/seed_0') is None


def test_region_maps_come_from_what_the_run_recorded(write_run):
    path = write_run(rounds=2)
    recorded = {'regions': {'type': 'Grid', 'size': 16}, 'cache_dir': 'cache'}
    (path / 'environment.json').write_text(json.dumps(recorded))
    maps = region_maps_of(path)
    found = maps(3)
    assert found.shape == Image.open(write_run.paths[3]).size[::-1]
    assert found[0, 0] == 0 and found[0, 16] == 1 and found[15, 15] == 0
