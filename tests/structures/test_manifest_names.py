"""Names of files that belong to samples: as short as may be, and no two alike."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dense_al.engine.export import export
from dense_al.engine.initial import named_samples
from dense_al.engine.store import RunStore, write_json
from dense_al.oracles import Asking, Files
from dense_al.registry import ConfigError
from dense_al.structures import Answer, ElementRows, Manifest, Pixels, Query
from dense_al.testing.stub import GridUnits

ALIKE = ['a/b.png', 'a/b.jpg', 'a__b.png', 'c.png']


@pytest.fixture
def alike(tmp_path):
    (tmp_path / 'a').mkdir()
    for value, name in enumerate(ALIKE):
        Image.new('RGB', (8, 8), (value, 0, 0)).save(tmp_path / name)
    return Manifest.of_images(ALIKE, [str(tmp_path / n) for n in ALIKE], [(8, 8)] * 4)


@pytest.mark.parametrize(
    'names',
    [ALIKE, ['a.png', 'a.jpg', 'a~0.png'], ['a.1', 'a.2', 'a'], ['x/y.png', 'x__y.png', 'x__y~1']],
)
def test_no_two_files_have_one_name(names):
    found = Manifest.of_images(names, names, [(1, 1)] * len(names))
    assert len(set(found.stems)) == len(set(found.file_names)) == len(names)
    assert not any('/' in name for name in found.file_names)


def test_names_without_a_double_stay_as_they_were():
    names = ['town/0001.png', 'b.c.png', 'plain']
    found = Manifest.of_images(names, names, [(1, 1)] * 3)
    assert found.file_names == ('town__0001', 'b.c', 'plain')
    assert found.stems == ('town/0001', 'b.c', 'plain')


def test_each_image_gets_the_labels_of_its_own_file(alike, tmp_path):
    rows = ElementRows.concatenate(
        [ElementRows.of_sample(s, np.zeros(1), np.array([16])) for s in range(4)]
    )
    asking = Asking(
        query=Query.of_rows('region', rows), folder=tmp_path / 'round', manifest=alike,
        units=GridUnits(alike), classes=[str(c) for c in range(4)], read_label=lambda s: None,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    oracle = Files()
    with pytest.raises(Exception, match='0 of 4 label files'):
        oracle.answer(asking)
    assert len(list((tmp_path / 'round/ask').glob('*_asked.png'))) == 4
    for sample, name in enumerate(alike.file_names):
        label = np.full((8, 8), sample, np.uint8)
        Image.fromarray(label).save(tmp_path / f'round/labels/{name}.png')
    assert [a.category for a in oracle.answer(asking)] == [0, 1, 2, 3]


def test_no_exported_label_is_written_over_another(alike, tmp_path):
    store = RunStore(tmp_path / 'run')
    store.save_manifest(alike)
    grid = dict(type='Grid', size=4)
    environment = dict(classes=list('xyzw'), regions=grid, cache_dir=str(tmp_path))
    write_json(tmp_path / 'run/environment.json', environment)
    payloads = [Pixels(np.full(64, s, np.uint8)).encode() for s in range(4)]
    store.write_answers(-1, [
        Answer(s, -1, 0, 'image', 'answered', 'files', 64, s, 0.0, 0.0, -1, payloads[s])
        for s in range(4)])  # fmt: skip
    store.commit(-1, 'round', {})
    assert pq.read_table(tmp_path / 'run/initial/answers.parquet').num_rows == 4
    assert export(tmp_path / 'run', tmp_path / 'out', 'png') == 4
    for sample, stem in enumerate(alike.stems):
        label = np.asarray(Image.open(tmp_path / f'out/labels/{stem}.png'))
        assert (label == sample).all()


def test_a_name_of_several_samples_is_refused(alike):
    assert named_samples(['a/b.jpg', 'c', 'a__b'], alike).tolist() == [1, 2, 3]
    with pytest.raises(ConfigError, match=r"'a/b' is that of `a/b\.png` and `a/b\.jpg`"):
        named_samples(['c', 'a/b'], alike)
    bare = Manifest.of_images(['a', 'a.png'], ['', ''], [(1, 1)] * 2)
    assert named_samples(['a'], bare).tolist() == [0]
    both = bare.with_source(bare)
    assert named_samples(['a'], both).tolist() == [0]
    with pytest.raises(ConfigError, match="samples of the pool.*'source/a.*of the source domain"):
        named_samples(['source/a'], both)
