"""Who answers: simulated and real annotators."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dense_al.oracles import Asking, Files, GroundTruth, WaitingForAnswers
from dense_al.structures import Boxes, ElementRows, Manifest, Pixels, Query, Tags
from dense_al.testing.stub import GridUnits

CLASSES = ['earth', 'water', 'air', 'fire']


@pytest.fixture
def asking(tmp_path):
    rng = np.random.default_rng(0)
    names = ['town/a.png', 'town/b.png']
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / name)
    manifest = Manifest.of_images(names, [str(tmp_path / n) for n in names], [(8, 8)] * 2)
    labels = rng.integers(0, 4, (2, 8, 8)).astype(np.uint8)
    rows = ElementRows(
        sample=np.array([1, 0, 1]),
        instance=np.full(3, -1),
        unit=np.array([2, 0, 1]),
        score=np.zeros(3),
        size=np.full(3, 16),
        category=np.full(3, -1),
    )
    return Asking(
        query=Query.of_rows('region', rows),
        folder=tmp_path / 'rounds/000',
        manifest=manifest,
        units=GridUnits(manifest),
        classes=CLASSES,
        read_label=lambda sample: Pixels(labels[sample]),
        rng=np.random.default_rng(1),
    )


def give(asking, name, label):
    folder = asking.folder / 'labels'
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(label)).save(folder / name)


def test_ground_truth_answers_in_the_order_of_the_query(asking):
    answers = GroundTruth().answer(asking)
    assert [(a.sample, a.unit) for a in answers] == [(1, 2), (0, 0), (1, 1)]
    expected = asking.read_label(1).labels.reshape(8, 8)[4:, :4].ravel()
    assert (Pixels.decode(answers[0].payload).labels == expected).all()
    assert answers[0].seconds == pytest.approx(16 / 64 * 5400 + 1)


def test_declined_units_are_billed_and_carry_no_label(asking):
    answers = GroundTruth(decline=1.0).answer(asking)
    assert {a.status for a in answers} == {'declined'}
    assert all(a.payload == b'' and a.seconds > 0 and a.category == -1 for a in answers)


def test_what_shows_no_class_is_declined_by_simulated_and_real_people(asking):
    void = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
    void[4:, :4] = 255  # region 2, of which nobody can say anything
    asking = replace(asking, read_label=lambda sample: Pixels(void.ravel()))
    simulated = GroundTruth().answer(asking)
    assert [a.status for a in simulated] == ['declined', 'answered', 'answered']
    assert simulated[0].payload == b'' and simulated[0].seconds > 0
    for name in ('town__a.png', 'town__b.png'):
        give(asking, name, void)
    assert [a.status for a in Files().answer(asking)] == [a.status for a in simulated]


def test_noise_mistakes_whole_classes_and_keeps_the_unknown():
    labels = np.array([0, 0, 1, 255], np.uint8)
    wrong = Pixels(labels).mistaken(1.0, 4, np.random.default_rng(0)).labels
    assert wrong[3] == 255 and wrong[0] == wrong[1] and (wrong[:3] != labels[:3]).all()
    rng = np.random.default_rng(0)
    share = np.mean([Pixels(labels).mistaken(0.3, 4, rng).labels[0] != 0 for _ in range(2000)])
    assert 0.26 < share < 0.34


def test_noise_out_of_range():
    with pytest.raises(ValueError, match=r'Expected `noise` in \[0, 1\], but got 2'):
        GroundTruth(noise=2)


def test_files_asks_with_pictures_and_waits(asking):
    with pytest.raises(WaitingForAnswers, match='0 of 2 label files'):
        Files().answer(asking)
    content = json.loads((asking.folder / 'ask/query.json').read_text())
    assert content['classes'] == CLASSES
    assert [s['asked'] for s in content['samples']] == [[0], [2, 1]]
    units = np.asarray(Image.open(asking.folder / 'ask' / content['samples'][1]['units']))
    assert (np.unique(units) == [0, 2, 3]).all() and (units[4:, :4] == 3).all()
    assert content['samples'][0]['label'] == 'labels/town__a.png'


def test_units_beyond_what_a_picture_can_number_are_refused(asking):
    units = SimpleNamespace(map=lambda sample: asking.units.map(sample) + 65535)
    query = replace(asking.query, unit=asking.query.unit + 65535)
    with pytest.raises(ValueError, match='at most 65535 units in an image.*choose larger ones'):
        Files().answer(replace(asking, query=query, units=units))


def test_waiting_names_what_is_missing_and_what_is_not_read(asking):
    give(asking, 'town__a.png', np.zeros((8, 8), np.uint8))
    give(asking, 'town__b.jpg', np.zeros((8, 8), np.uint8))
    with pytest.raises(WaitingForAnswers, match='1 of 2.*town__b.png not yet; town__b.jpg there'):
        Files().answer(asking)


def test_all_wrong_label_files_are_named_at_once(asking):
    for name in ('town__a.png', 'town__b.png'):
        give(asking, name, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r'2 label files are wrong:\n- .*a.png.*\n- .*b.png'):
        Files().answer(asking)


def test_files_goes_on_when_all_are_there(asking):
    first, second = np.full((8, 8), 1, np.uint8), np.full((8, 8), 2, np.uint8)
    second[:4, 4:] = 255
    give(asking, 'town__a.png', first)
    with pytest.raises(WaitingForAnswers, match='1 of 2'):
        Files().answer(asking)
    give(asking, 'town__b.png', second)
    answers = Files().answer(asking)
    assert [(a.sample, a.unit, a.status) for a in answers] == [
        (1, 2, 'answered'), (0, 0, 'answered'), (1, 1, 'declined')]  # fmt: skip
    assert (Pixels.decode(answers[0].payload).labels == 2).all()


def test_files_waits_for_the_first_one_at_least(asking):
    with pytest.raises(WaitingForAnswers, match='0 of 2'):
        Files(wait_for='any').answer(asking)


def test_files_goes_on_with_some(asking):
    give(asking, 'town__a.png', np.full((8, 8), 1, np.uint8))
    answers = Files(wait_for='any').answer(asking)
    assert [(a.sample, a.unit) for a in answers] == [(0, 0)]


@pytest.mark.parametrize(
    'name, label, message',
    [
        ('town__a.png', np.zeros((8, 9), np.uint8), r'of size \(8, 8\).*but got \(8, 9\)'),
        ('town__a.png', np.full((8, 8), 4, np.uint8), r'Expected classes 0 to 3 or 255.*got 4'),
        ('town__a.png', np.zeros((8, 8, 3), np.uint8), 'one channel'),
        ('town_a.png', np.zeros((8, 8), np.uint8), r'belongs to no asked.*`town__a.png`'),
        ('town__a.PNG', np.zeros((8, 8), np.uint8), r'a.PNG belongs to no asked.*`town__a.png`'),
    ],
)
def test_wrong_label_files_are_named(asking, name, label, message):
    give(asking, name, label)
    with pytest.raises(ValueError, match=message):
        Files(wait_for='any').answer(asking)


def test_all_mistakes_are_named_at_once(asking):
    give(asking, 'town__a.png', np.full((8, 8), 4, np.uint8))
    for name in ('x.png', 'y.png'):
        give(asking, name, np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match=r'(?s)3 label files.*x.png belongs.*y.png belongs.*got 4'):
        Files(wait_for='any').answer(asking)


def test_a_broken_label_file_is_named(asking):
    give(asking, 'town__a.png', np.zeros((8, 8), np.uint8))
    path = asking.folder / 'labels/town__a.png'
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match='Could not read the label file .*town__a.png'):
        Files(wait_for='any').answer(asking)


def image_asking(asking):
    from dataclasses import replace

    rows = ElementRows.of_sample(1, np.zeros(1), np.array([64]))
    return replace(asking, query=Query.of_rows('image', rows), form='boxes')


def give_json(asking, content):
    folder = asking.folder / 'labels'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'town__b.json').write_text(json.dumps(content))


def test_people_draw_boxes(asking):
    asking = image_asking(asking)
    with pytest.raises(WaitingForAnswers, match='0 of 1'):
        Files().answer(asking)
    asked = json.loads((asking.folder / 'ask/query.json').read_text())
    assert asked['form'] == 'boxes' and asked['samples'][0]['label'] == 'labels/town__b.json'
    give_json(asking, {'boxes': [[1, 2, 4, 8], [0, 0, 8, 8]], 'labels': ['fire', 'water']})
    (answer,) = Files().answer(asking)
    found = Boxes.decode(answer.payload)
    assert found.boxes.tolist() == [[1, 2, 4, 8], [0, 0, 8, 8]] and found.labels.tolist() == [3, 1]
    assert (answer.clicks, answer.seconds) == (8, 15)
    give_json(asking, None)
    (answer,) = Files().answer(asking)
    assert answer.status == 'declined' and answer.seconds == 1
    give_json(asking, {'boxes': [], 'labels': []})
    (answer,) = Files().answer(asking)
    assert answer.status == 'answered' and len(Boxes.decode(answer.payload)) == 0


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'boxes': [[0, 0, 1, 1]], 'labels': ['fier']}, 'Did you mean `fire`'),
        ({'boxes': [[0, 0, 9, 1]], 'labels': ['fire']}, 'inside 8 x 8'),
        ({'boxes': [[3, 0, 1, 1]], 'labels': ['fire']}, 'x1 y1 x2 y2'),
        ({'boxes': [[0, 0, 1]], 'labels': ['fire']}, 'to be JSON with `boxes`'),
        ({'boxes': [[0, 0, 1, 1]], 'labels': []}, 'a label per box'),
        ({'box': []}, 'to be JSON with `boxes`'),
    ],
)
def test_wrong_boxes_of_people_are_named(asking, content, message):
    asking = image_asking(asking)
    give_json(asking, content)
    with pytest.raises(ValueError, match=message) as error:
        Files().answer(asking)
    assert 'town__b.json' in str(error.value)


def test_simulated_mistakes_of_boxes(asking):
    from dataclasses import replace

    truth = Boxes(np.tile([0, 0, 1, 1], (400, 1)), np.full(400, 2))
    asking = replace(image_asking(asking), read_label=lambda sample: truth)
    (answer,) = GroundTruth(noise=0.25).answer(asking)
    wrong = Boxes.decode(answer.payload).labels != 2
    assert 0.17 < wrong.mean() < 0.33
    assert answer.seconds == 1 + 7 * 400


def tags_asking(asking):
    from dataclasses import replace

    rows = ElementRows.of_sample(1, np.zeros(1), np.array([64]))
    return replace(asking, query=Query.of_rows('tags', rows), form='boxes')


def test_people_name_classes(asking):
    asking = tags_asking(asking)
    with pytest.raises(WaitingForAnswers, match='0 of 1'):
        Files().answer(asking)
    asked = json.loads((asking.folder / 'ask/query.json').read_text())
    assert asked['form'] == 'tags' and asked['samples'][0]['label'] == 'labels/town__b.json'
    give_json(asking, {'tags': ['fire', 'water', 'fire']})
    (answer,) = Files().answer(asking)
    assert Tags.decode(answer.payload).labels.tolist() == [1, 3]
    assert (answer.kind, answer.elements, answer.seconds) == ('tags', 0, 2)
    give_json(asking, None)
    (declined,) = Files().answer(asking)
    assert (declined.status, declined.elements) == ('declined', 0)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'tags': ['fier']}, 'Did you mean `fire`'),
        ({'tags': 'fire'}, 'a list of `tags`'),
        ({'tag': []}, 'to be JSON with `tags`'),
    ],
)
def test_wrong_tags_of_people_are_named(asking, content, message):
    asking = tags_asking(asking)
    give_json(asking, content)
    with pytest.raises(ValueError, match=message) as error:
        Files().answer(asking)
    assert 'town__b.json' in str(error.value)


def test_simulated_tags_and_their_mistakes(asking):
    from dataclasses import replace

    truth = Boxes([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], [2, 0, 2])
    asking = replace(tags_asking(asking), read_label=lambda sample: truth)
    (answer,) = GroundTruth().answer(asking)
    assert Tags.decode(answer.payload).labels.tolist() == [0, 2] and answer.clicks == 2
    asking = replace(asking, read_label=lambda sample: Boxes([[0, 0, 1, 1]], [2]))
    (answer,) = GroundTruth(noise=1.0).answer(asking)
    assert Tags.decode(answer.payload).labels.tolist() in ([0], [1], [3])
