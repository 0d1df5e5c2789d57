"""People who answer about LiDAR scans through files."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dense_al.oracles import Asking, Files, WaitingForAnswers
from dense_al.structures import Manifest, Pixels, Query

N = 64
CELLS = np.arange(N) // 16  # four units per scan


@pytest.fixture
def asking(tmp_path):
    """Three regions of two scans, as they are asked."""

    def ask(kind='region', unit=(2, 0, 1), size=16):
        manifest = Manifest(
            names=('00/a', '00/b'),
            paths=('a.bin', 'b.bin'),
            heights=np.full(2, N),
            widths=np.ones(2, np.int64),
            domains=('target',) * 2,
            sequences=('00',) * 2,
            frames=np.arange(2),
        )
        query = Query(
            kind, np.array([1, 0, 1]), np.full(3, -1), np.array(unit), np.zeros(3), np.full(3, size)
        )
        return Asking(
            query=query,
            folder=tmp_path,
            manifest=manifest,
            units=SimpleNamespace(map=lambda sample: CELLS.reshape(N, 1)),
            classes=['earth', 'water', 'air', 'fire'],
            read_label=None,
            rng=np.random.default_rng(0),
            scans=True,
        )

    return ask


def give(folder, name, label):
    (folder / 'labels').mkdir(exist_ok=True)
    np.asarray(label).astype('<u4').tofile(folder / 'labels' / name)


def asked(folder):
    """The entries of query.json, and the marks of each scan."""
    samples = json.loads((folder / 'ask/query.json').read_text())['samples']
    return samples, [np.fromfile(folder / 'ask' / s['units'], '<u4') for s in samples]


def test_what_is_asked_is_marked_and_waited_for(asking, tmp_path):
    with pytest.raises(WaitingForAnswers, match='0 of 2 label files .* 00__b.label'):
        Files().answer(asking())
    (second, first), marks = asked(tmp_path)
    assert (first['scan'], first['asked'], first['label']) == (
        'b.bin',
        [2, 1],
        'labels/00__b.label',
    )
    assert (second['scan'], second['asked']) == ('a.bin', [0])
    assert (marks[1] == np.where((CELLS == 1) | (CELLS == 2), CELLS + 1, 0)).all()
    assert (marks[0] == np.where(CELLS == 0, 1, 0)).all()


def test_answers_are_read(asking, tmp_path):
    # The upper half, an instance in SemanticKITTI, does not count; nor does what was not asked.
    give(tmp_path, '00__b.label', np.select([CELLS == 2, CELLS == 1], [255, 3], 1) | 5 << 16)
    give(tmp_path, '00__a.label', np.arange(N) % 4)
    answers = Files().answer(asking())
    assert [(a.sample, a.unit, a.status) for a in answers] == [
        (1, 2, 'declined'), (0, 0, 'answered'), (1, 1, 'answered')]  # fmt: skip
    labels = [Pixels.decode(a.payload).labels.tolist() for a in answers[1:]]
    assert labels == [[0, 1, 2, 3] * 4, [3] * 16]


def test_whole_scans_and_single_points(asking, tmp_path):
    give(tmp_path, '00__a.label', np.full(N, 2))
    give(tmp_path, '00__b.label', np.arange(N) % 4)
    answers = Files().answer(asking('point', (9, 4, 60), 1))
    _, marks = asked(tmp_path)
    assert (marks[1][9], marks[1][60], (marks[1] > 0).sum()) == (1, 2, 2)
    assert [Pixels.decode(a.payload).labels.tolist() for a in answers] == [[1], [2], [0]]
    (tmp_path / 'ask/query.json').unlink()
    query = Query(
        'image', np.arange(2), np.full(2, -1), np.zeros(2, int), np.zeros(2), np.full(2, N)
    )
    answers = Files().answer(replace(asking(), query=query))
    assert (asked(tmp_path)[1][0] == 1).all()
    assert [a.elements for a in answers] == [N, N]


@pytest.mark.parametrize(
    ('name', 'label', 'message'),
    [
        ('00__a.label', np.zeros(N - 1), 'of 64 points, 4 bytes each, but got 252 bytes'),
        ('00__a.label', np.full(N, 4), 'Expected classes 0 to 3 or 255 in .*, but got 4'),
        ('00__c.label', np.zeros(N), 'belongs to no asked image.*`00__[ab].label`'),
    ],
)
def test_wrong_label_files_are_named(asking, tmp_path, name, label, message):
    give(tmp_path, name, label)
    with pytest.raises(ValueError, match=message):
        Files().answer(asking())
