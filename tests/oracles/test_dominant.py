"""One class for a whole region, and the class of single pixels: asked, answered, billed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dense_al.oracles import Asking, Files, GroundTruth, WaitingForAnswers
from dense_al.pool import AnswerStore, price_kind
from dense_al.registry import ConfigError
from dense_al.structures import Boxes, ElementRows, Manifest, Pixels, Query
from dense_al.testing.stub import GridUnits

CLASSES = ['earth', 'water', 'air', 'fire']
# Four cells of 4 x 4: mostly water; as much air as fire; void and one pixel of fire; void.
TRUTH = np.full((8, 8), 255, np.uint8)
TRUTH[:4, :4] = 1
TRUTH[0, :4] = 0
TRUTH[:2, 4:], TRUTH[2:4, 4:] = 3, 2
TRUTH[6, 2] = 3


def asking_for(tmp_path, units, kind='region', size=(8, 8), **changes):
    path = tmp_path / 'a.png'
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)
    manifest = Manifest.of_images(['a.png'], [str(path)], [size])
    n = len(units)
    rows = ElementRows(
        sample=np.zeros(n, np.int64),
        instance=np.full(n, -1),
        unit=np.array(units),
        score=np.zeros(n),
        size=np.full(n, {'region': 16, 'image': 64, 'point': 1}[kind]),
        category=np.full(n, -1),
    )
    asking = Asking(
        query=Query.of_rows(kind, rows),
        folder=tmp_path / 'rounds/000',
        manifest=manifest,
        units=GridUnits(manifest),
        classes=CLASSES,
        read_label=lambda sample: Pixels(TRUTH),
        rng=np.random.default_rng(0),
    )
    return replace(asking, **changes)


def give(asking, label):
    folder = asking.folder / 'labels'
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(folder / 'a.png')


def test_a_region_gets_its_most_frequent_class_the_lowest_of_equals(tmp_path):
    asking = asking_for(tmp_path, [0, 1, 2])
    answers = GroundTruth(dominant=True).answer(asking)
    assert [a.category for a in answers] == [1, 2, 3]
    labels = AnswerStore(answers, asking.manifest, asking.units).dense_labels(0)
    expected = np.full((8, 8), 255)
    expected[:4, :4], expected[:4, 4:], expected[4:, :4] = 1, 2, 3
    np.testing.assert_array_equal(labels, expected)


def test_a_region_of_no_class_is_declined_and_billed(tmp_path):
    answers = GroundTruth(dominant=True).answer(asking_for(tmp_path, [3, 0]))
    assert [a.status for a in answers] == ['declined', 'answered']
    assert answers[0].payload == b'' and answers[0].clicks == 1


def test_a_region_costs_one_click_whatever_its_size(tmp_path):
    asking = asking_for(tmp_path, [0, 1])
    one = GroundTruth(dominant=True).answer(asking)
    assert [(a.clicks, a.seconds, a.elements) for a in one] == [(1, 1, 16)] * 2
    each = GroundTruth().answer(asking_for(tmp_path, [0, 1]))
    assert each[0].seconds == pytest.approx(5400 / 4 + 1)
    dear = GroundTruth(dominant=True, prices=dict(dominant=dict(fixed_seconds=3.0)))
    assert dear.answer(asking_for(tmp_path, [0]))[0].seconds == 3


def test_a_whole_image_gets_one_class(tmp_path):
    (answer,) = GroundTruth(dominant=True).answer(asking_for(tmp_path, [0], 'image'))
    assert (Pixels.decode(answer.payload).labels == 1).all() and answer.elements == 64
    assert (answer.clicks, answer.seconds) == (1, 1)


def test_only_labels_of_pixels_have_a_dominant_class(tmp_path):
    boxes = Boxes([[0, 0, 1, 1], [0, 0, 2, 2]], [3, 1])
    asking = asking_for(tmp_path, [0], 'image', read_label=lambda sample: boxes, form='boxes')
    assert GroundTruth(dominant=True).answer(asking) == GroundTruth().answer(
        replace(asking, rng=np.random.default_rng(0))
    )
    assert price_kind('image', 'boxes', dominant=True) == 'boxes'


def test_the_one_class_is_mistaken_as_often_as_noise_says(tmp_path):
    given = [
        GroundTruth(dominant=True, noise=0.25)
        .answer(asking_for(tmp_path, [0], rng=np.random.default_rng(seed)))[0]
        .category
        for seed in range(300)
    ]
    assert 0.17 < np.mean(np.array(given) != 1) < 0.33


@pytest.mark.parametrize('value', [1, 'yes', None])
def test_dominant_is_yes_or_no(value):
    with pytest.raises(ConfigError, match='`oracle.dominant` to be True or False'):
        GroundTruth(dominant=value)


def test_people_may_paint_one_pixel_of_a_region(tmp_path):
    oracle, asking = Files(dominant=True), asking_for(tmp_path, [0, 1, 2])
    with pytest.raises(WaitingForAnswers):
        oracle.answer(asking)
    assert json.loads((asking.folder / 'ask/query.json').read_text())['dominant'] is True
    label = np.full((8, 8), 255, np.uint8)
    label[1, 1] = 2
    label[0, 4:6], label[1, 4] = 3, 0
    give(asking, label)
    answers = oracle.answer(asking)
    assert [(a.status, a.category) for a in answers] == [
        ('answered', 2), ('answered', 3), ('declined', -1)]  # fmt: skip
    assert (Pixels.decode(answers[0].payload).labels == 2).all() and answers[0].elements == 16


def test_a_pixel_is_answered_with_its_class(tmp_path):
    answers = GroundTruth().answer(asking_for(tmp_path, [0, 8, 63], 'point'))
    assert [(a.status, a.category) for a in answers] == [
        ('answered', 0), ('answered', 1), ('declined', -1)]  # fmt: skip
    assert [(a.instance, a.elements, a.clicks, a.seconds) for a in answers] == [(-1, 1, 1, 1)] * 3
    assert Pixels.decode(answers[1].payload).labels.tolist() == [1]


def test_people_are_shown_crosses_and_a_list(tmp_path):
    # More pixels than 16 bits can number.
    asking = asking_for(tmp_path, [300 * 299 + 7, 42 * 300 + 50], 'point', size=(300, 300))
    with pytest.raises(WaitingForAnswers):
        Files().answer(asking)
    (listed,) = json.loads((asking.folder / 'ask/query.json').read_text())['samples']
    assert listed['asked'] == [{'x': 7, 'y': 299}, {'x': 50, 'y': 42}]
    numbers = np.asarray(Image.open(asking.folder / 'ask' / listed['units']))
    assert numbers[299, 7] == 1 and numbers[42, 50] == 2 and numbers.sum() == 3
    picture = np.asarray(Image.open(asking.folder / 'ask' / listed['picture']))
    assert (picture[42, 50] == 90).all() and (picture[42, 45] != 90).any()
    label = np.full((300, 300), 255, np.uint8)
    label[42, 50], label[0, 0] = 3, 1
    give(asking, label)
    answers = Files().answer(asking)
    assert [(a.unit, a.status, a.category) for a in answers] == [
        (300 * 299 + 7, 'declined', -1), (42 * 300 + 50, 'answered', 3)]  # fmt: skip
