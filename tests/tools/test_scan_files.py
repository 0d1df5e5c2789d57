"""What a run on scans leaves for people: pictures, a window in 3-D, and exported files."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scan_runs import CONFIGS, SPEC, UNITS, run, units_of, write_config, write_real_config

from dense_al.adapters.lidar import pool_scans
from dense_al.analysis import gallery, load_run
from dense_al.analysis.scan_pictures import ASKED
from dense_al.config import read_config
from dense_al.datasets.semantic_kitti import read_semantic_kitti
from dense_al.engine import INITIAL, RunStore

sys.path.insert(0, str(CONFIGS.parent / 'tools'))
import al_export  # noqa: E402
import browse_queries  # noqa: E402


def show_3d(work_dir, out, pictures, monkeypatch):
    """What `--show-3d` shows; without a display and without regions it is an error."""
    shown, command = [], [str(work_dir), '--out', str(out), '--no-predictions', '--show-3d']
    open3d = SimpleNamespace(
        geometry=SimpleNamespace(PointCloud=lambda points: SimpleNamespace(points=points)),
        utility=SimpleNamespace(Vector3dVector=np.asarray),
        visualization=SimpleNamespace(
            draw_geometries=lambda clouds, window_name: shown.append(
                (clouds[0].points, clouds[0].colors, window_name)
            )
        ),
    )
    monkeypatch.setitem(sys.modules, 'open3d', open3d)
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    assert browse_queries.main(command) == 2 and not shown
    assert {path.name for path in out.glob('*.png')} == {path.name for path in pictures}
    monkeypatch.setenv('DISPLAY', ':0')
    assert browse_queries.main(command) == 0
    with pytest.raises(ValueError, match='Expected the regions of'):
        gallery.show_best(load_run(work_dir), 0, None)
    return shown


def test_pictures_and_files_of_a_run(tmp_path, monkeypatch):
    pytest.importorskip('open3d')
    from dense_al.sandbox import TownSpec, write_town

    town = write_town(tmp_path / 'town', TownSpec(**SPEC))
    work_dir = tmp_path / 'run'
    config = write_config(tmp_path, 'lidal_pseudo', town, UNITS)
    assert run(config, work_dir, '--cfg-options', 'rounds.count=2') == 0
    assert browse_queries.main([str(work_dir), '--out', str(tmp_path / 'pictures')]) == 0
    files = sorted((tmp_path / 'pictures').glob('*.png'))
    store = RunStore(work_dir)
    assert len(files) == sum(len(np.unique(store.query(r).sample)) for r in (INITIAL, 0))
    # Of the initial labels what was asked and answered; there was no model yet.
    widths = {'initial': 2, 'round000': 4}
    for file in files:
        assert Image.open(file).width == 640 * widths[file.name.split('_')[0]]
    shown = show_3d(work_dir, tmp_path / 'again', files, monkeypatch)
    assert [title for _, _, title in shown] == [
        store.manifest().names[store.query(r).sample[0]] for r in (INITIAL, 0)
    ]
    for (points, colours, _), r in zip(shown, (INITIAL, 0)):
        query, sample = store.query(r), store.query(r).sample[0]
        yellow = (colours == np.array(ASKED) / 255).all(1)
        asked = query.size[query.sample == sample].sum()
        assert (len(points), yellow.sum()) == (store.manifest().heights[sample], asked)
    wrong = ['--out', str(tmp_path / 'wrong'), '--format', 'png']
    assert al_export.main([str(work_dir), *wrong]) == 2
    out = tmp_path / 'out'
    assert al_export.main([str(work_dir), '--out', str(out), '--format', 'scans']) == 0
    units, manifest = units_of(work_dir)
    answers = [a for r in (INITIAL, 0) for a in store.answers(r) if a.source != 'model']
    scans = pool_scans(read_config(work_dir / 'config.py'))
    label_map = scans.label_map
    for sample in {a.sample for a in answers}:
        sequence, frame = manifest.names[sample].split('/')
        raw = np.fromfile(out / f'sequences/{sequence}/labels/{frame}.label', '<u4')
        truth = np.fromfile(town / f'sequences/{sequence}/labels/{frame}.label', '<u4') & 0xFFFF
        known = np.zeros(len(raw), bool)
        for a in answers:
            if a.sample == sample:
                known |= (a.kind == 'image') | (units.map(sample).ravel() == a.unit)
        assert (label_map.apply(raw[known]) == label_map.apply(truth[known])).all()
        assert (label_map.apply(raw[~known]) == 255).all()
    read_again(out, scans, {a.sample for a in answers}, linked=True)


def read_again(out, scans, samples, linked):
    """Compares what was exported with the pool, as the reader of SemanticKITTI sees it."""
    again = read_semantic_kitti(out, label_map=out / 'label_map.yaml')
    assert again.classes == scans.classes and again.palette == scans.palette
    named = {record.name: record for record in scans.records}
    assert {record.name for record in again.records} == {scans.records[s].name for s in samples}
    for record in again.records:
        expected, found = scans.load_scan(named[record.name]), again.load_scan(record)
        assert (found.points == expected.points).all()
        assert (found.intensity == expected.intensity).all()
        assert (found.pose == expected.pose).all()
        assert Path(record.points_path).is_symlink() == linked
        known = again.load_labels(record) != 255
        assert (again.load_labels(record) == scans.load_labels(named[record.name]))[known].all()


@pytest.mark.parametrize('data', ['semantic_kitti', 'nuscenes'])
def test_files_of_a_run_on_a_real_layout_read_the_same(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)  # so that data has a relative path
    path = write_real_config(Path('.'), data, 'random', 'n_regions=5')
    assert run(path, 'run', '--cfg-options', 'rounds.count=2') == 0
    assert al_export.main(['run', '--out', 'out', '--format', 'scans']) == 0
    scans = pool_scans(read_config('run/config.py'))
    samples = {s for r in (INITIAL, 0) for s in RunStore('run').query(r).sample.tolist()}
    assert len(samples) > 1
    read_again(Path('out'), scans, samples, linked=data == 'semantic_kitti')
