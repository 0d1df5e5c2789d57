"""Who answers about objects: points drawn with the boxes, masks, points asked later."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dense_al.oracles import Asking, Files, GroundTruth, WaitingForAnswers
from dense_al.pool import Ledger
from dense_al.registry import ORACLES, ConfigError
from dense_al.structures import Answer, Boxes, ElementRows, Inside, Instances, Manifest, Mask, Query
from dense_al.testing.stub import GridUnits

CLASSES = ['earth', 'water', 'air', 'fire']
H, W = 9, 12
BOXES = Boxes([[1, 2, 7, 8], [4, 0, 12, 5]], [3, 1])


def ellipse(box):
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:H, :W] + 0.5
    return ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1


MASKS = [ellipse(box) for box in BOXES.boxes.tolist()]
TRUTH = Instances.with_masks(BOXES, tuple(Mask.of_array(m) for m in MASKS))


def drawn(sample=1):
    """The answer that drew the boxes of an image."""
    return Answer(
        sample, -1, 0, 'image', 'answered', 'x', 1, 0, 0.0, 0.0, -1, BOXES.encode())  # fmt: skip


def query(kind, keys, size=1):
    sample, instance, unit = np.array(keys, np.int64).T
    n = len(keys)
    rows = ElementRows(sample, instance, unit, np.zeros(n), np.full(n, size), np.full(n, -1))
    return Query.of_rows(kind, rows)


@pytest.fixture
def asking(tmp_path):
    """Asks for all objects of the second of two images."""
    names = ['town/a.png', 'town/b.png']
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((H, W, 3), 20 * i, np.uint8)).save(tmp_path / name)
    manifest = Manifest.of_images(names, [str(tmp_path / n) for n in names], [(H, W)] * 2)
    return Asking(
        query=query('image', [(1, -1, 0)], H * W),
        folder=tmp_path / 'rounds/000',
        manifest=manifest,
        units=GridUnits(manifest),
        classes=CLASSES,
        read_label=lambda sample: TRUTH,
        rng=np.random.default_rng(1),
        form='masks',
        ledger=Ledger([[drawn()]]),
    )


def points_asked(asking, points):
    """Asks for pixels (instance, x, y) of the second image."""
    return replace(asking, query=query('point', [(1, i, y * W + x) for i, x, y in points]))


def every_pixel(asking):
    """Asks for all pixels of the first object."""
    return points_asked(asking, [(0, x, y) for y in range(H) for x in range(W)])


def fresh(asking, seed=1):
    return replace(asking, rng=np.random.default_rng(seed))


@pytest.mark.parametrize('n', [0, 1, 5])
def test_points_come_with_the_boxes(asking, n):
    (answer,) = GroundTruth(points=n).answer(asking)
    found = Boxes.decode(answer.payload)
    np.testing.assert_array_equal(found.boxes, BOXES.boxes)
    assert found.labels.tolist() == [3, 1] and found.masks is None
    assert found.points.shape == (2, n, 2)
    x, y = found.points[..., 0], found.points[..., 1]
    x1, y1, x2, y2 = BOXES.boxes.T[:, :, None]
    assert ((x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)).all()
    wanted = [[int(MASKS[i][b, a]) for a, b in row] for i, row in enumerate(found.points)]
    assert found.point_labels.tolist() == wanted
    # 2 boxes and n points of each.
    assert (answer.elements, answer.clicks) == (2 * n, 8 + 2 * n)
    assert answer.seconds == pytest.approx(1 + 14 + 2 * n * 0.9)


def test_fewer_points_are_the_first_of_more(asking):
    few, many = (
        Boxes.decode(GroundTruth(points=n).answer(fresh(asking))[0].payload) for n in (2, 6)
    )
    np.testing.assert_array_equal(few.points, many.points[:, :2])
    np.testing.assert_array_equal(few.point_labels, many.point_labels[:, :2])
    other = Boxes.decode(GroundTruth(points=6).answer(fresh(asking, 2))[0].payload)
    assert (other.points != many.points).any()


def test_an_image_without_objects_is_answered(asking):
    none = Instances.with_masks(Boxes([], []), ())
    (answer,) = GroundTruth(points=2).answer(replace(asking, read_label=lambda sample: none))
    found = Boxes.decode(answer.payload)
    assert answer.status == 'answered' and found.points.shape == (0, 2, 2)
    assert (answer.elements, answer.clicks, answer.seconds) == (0, 0, 1)


def test_without_points_all_masks_are_drawn(asking):
    (answer,) = GroundTruth().answer(asking)
    found = Boxes.decode(answer.payload)
    for mask, wanted in zip(found.masks, MASKS):
        np.testing.assert_array_equal(mask.array(), wanted)
    assert (answer.elements, answer.clicks) == (H * W, 68)
    assert answer.seconds == pytest.approx(1 + 2 * 79.2)


def test_masks_of_single_objects(asking):
    asking = replace(asking, query=query('instance', [(1, 1, 0), (1, 0, 0)], 40))
    answers = GroundTruth(points=1).answer(asking)
    for answer, i in zip(answers, (1, 0)):
        assert (answer.instance, answer.elements) == (i, 40) and Mask.is_in(answer.payload)
        np.testing.assert_array_equal(Mask.decode(answer.payload).array(), MASKS[i])
        assert (answer.clicks, answer.seconds, answer.category) == (34, 79.2, -1)


def test_points_of_objects(asking):
    points = [(0, 4, 5), (1, 4, 5), (1, 8, 2), (0, 1, 2)]
    answers = GroundTruth(points=1).answer(points_asked(asking, points))
    assert [(a.instance, *divmod(a.unit, W)[::-1]) for a in answers] == points
    said = [Inside.decode(a.payload).value for a in answers]
    assert said == [bool(MASKS[i][y, x]) for i, x, y in points] == [True, False, True, False]
    assert {(a.elements, a.clicks, a.seconds, a.category) for a in answers} == {(1, 1, 0.9, -1)}


def outline_distance(mask):
    """Distance of each pixel's centre to the outline, half a pixel before the other side."""
    cells = list(np.ndindex(mask.shape))
    found = np.zeros(mask.shape)
    for c in cells:
        others = [d for d in cells if mask[d] != mask[c]]
        found[c] = min(np.hypot(c[0] - d[0], c[1] - d[1]) for d in others) - 0.5
    return found


@pytest.mark.parametrize('unsure', [0.4, 1, 2.2])
def test_nobody_can_say_near_the_outline(asking, unsure):
    answers = GroundTruth(points=0, unsure=unsure).answer(every_pixel(asking))
    near = (outline_distance(MASKS[0]) < unsure).ravel()
    assert [a.status == 'declined' for a in answers] == near.tolist()
    assert near.any() == (unsure > 0.5) and not near.all()
    for answer, is_inside in zip(answers, MASKS[0].ravel()):
        assert (answer.clicks, answer.seconds) == (1, 0.9)
        if answer.status == 'answered':
            assert Inside.decode(answer.payload).value == is_inside
        else:
            assert answer.payload == b''


def test_points_drawn_with_boxes_may_be_unsure(asking):
    wide = Instances.with_masks(Boxes([[0, 0, W, H]] * 2, [3, 1]), TRUTH.masks)
    asking = replace(asking, read_label=lambda sample: wide)
    (answer,) = GroundTruth(points=40, unsure=0.6).answer(asking)
    found = Boxes.decode(answer.payload)
    for i, mask in enumerate(MASKS):
        near = outline_distance(mask) < 0.6
        for (x, y), label in zip(found.points[i], found.point_labels[i]):
            assert label == (-1 if near[y, x] else mask[y, x])
    assert {-1, 0, 1} == set(found.point_labels.ravel().tolist())
    assert answer.clicks == 8 + 80


@pytest.mark.parametrize('fill', [True, False])
def test_a_mask_without_an_outline_is_sure(asking, fill):
    truth = Instances.with_masks(BOXES, (Mask.of_array(np.full((H, W), fill)),) * 2)
    given = replace(every_pixel(asking), read_label=lambda sample: truth)
    answers = GroundTruth(points=0, unsure=3).answer(given)
    assert all(a.status == 'answered' for a in answers)
    assert {Inside.decode(a.payload).value for a in answers} == {fill}


def test_mistakes_of_points(asking):
    """Those asked, and those drawn with the boxes; what nobody can say stays."""
    answers = GroundTruth(points=0, noise=0.3).answer(every_pixel(asking))
    wrong = [Inside.decode(a.payload).value != m for a, m in zip(answers, MASKS[0].ravel())]
    assert 0.15 < np.mean(wrong) < 0.45
    clean, noisy = (
        Boxes.decode(GroundTruth(points=200, unsure=1, **more).answer(fresh(asking))[0].payload)
        for more in ({}, {'noise': 0.3})
    )
    np.testing.assert_array_equal(clean.points, noisy.points)
    sure = clean.point_labels >= 0
    assert not sure.all() and (noisy.point_labels[~sure] == -1).all()
    assert 0.2 < (clean.point_labels != noisy.point_labels)[sure].mean() < 0.4
    (all_wrong,) = GroundTruth(points=200, noise=1.0).answer(fresh(asking))
    found = Boxes.decode(all_wrong.payload)
    at = [found.points[0, :, 1], found.points[0, :, 0]]
    assert (found.point_labels[0] != MASKS[0][at[0], at[1]]).all() and (
        found.labels != [3, 1]
    ).all()


@pytest.mark.parametrize('kind', ['image', 'instance', 'point'])
def test_declined_answers_are_billed(asking, kind):
    given = {'instance': [(1, 0, 0)], 'point': [(1, 0, 17)]}.get(kind, [(1, -1, 0)])
    (answer,) = GroundTruth(points=3, decline=1.0).answer(replace(asking, query=query(kind, given)))
    assert answer.status == 'declined' and answer.payload == b''
    assert answer.seconds == {'image': 1, 'instance': 79.2, 'point': 0.9}[kind]


def test_answers_depend_on_the_stream_alone(asking):
    given = every_pixel(asking)
    oracle = GroundTruth(points=0, noise=0.3, decline=0.2)
    first, again = (oracle.answer(fresh(given)) for _ in range(2))
    assert first == again != oracle.answer(fresh(given, 5))


def test_prices_of_points_apply_to_all_of_them(asking):
    prices = dict(point=dict(fixed_clicks=2.0, whole_seconds=108.0), boxes=dict())
    oracle = GroundTruth(points=3, prices=prices)
    (image,) = oracle.answer(asking)
    (point,) = oracle.answer(points_asked(asking, [(0, 4, 5)]))
    assert (point.clicks, point.seconds) == (2, 1)  # one of 108 pixels
    assert (image.clicks, image.seconds) == (6 * 2, 6)


def test_boxes_alone_tell_nothing_of_points(asking):
    bare = Instances(BOXES.boxes, BOXES.labels, np.zeros((2, 0, 2)), np.zeros((2, 0)))
    with pytest.raises(ValueError, match='objects with masks, but got boxes alone'):
        GroundTruth(points=1).answer(replace(asking, read_label=lambda sample: bare))


@pytest.mark.parametrize('kind', ['GroundTruth', 'Files'])
@pytest.mark.parametrize('points', [-1, 1.5, True, '1'])
def test_wrong_numbers_of_points_are_named(kind, points):
    with pytest.raises(ConfigError, match='`oracle.points` to be an integer'):
        ORACLES.build(dict(type=kind, points=points), 'oracle')


@pytest.mark.parametrize('unsure', [-1, float('inf'), 'x'])
def test_wrong_unsure_is_named(unsure):
    with pytest.raises(ValueError, match='`unsure` to be a number of at least 0'):
        GroundTruth(unsure=unsure)


# People.


def give(asking, content):
    folder = asking.folder / 'labels'
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / 'town__b.json').write_text(text)


def asked_of_people(asking, oracle):
    with pytest.raises(WaitingForAnswers, match='0 of 1'):
        oracle.answer(asking)
    return json.loads((asking.folder / 'ask/query.json').read_text())


SQUARE = [[1, 2, 7, 2, 7, 8, 1, 8]]
TWO = {'boxes': BOXES.boxes.tolist(), 'labels': ['fire', 'water']}


def test_people_draw_masks(asking):
    asked = asked_of_people(asking, Files())
    assert asked['form'] == 'masks' and asked['points'] is None
    assert asked['samples'][0]['label'] == 'labels/town__b.json'
    runs = {'size': [H, W], 'counts': [9, 3, H * W - 12]}
    for second in (Mask.of_array(MASKS[1]).rle(), runs):
        give(asking, {**TWO, 'masks': [SQUARE, second]})
        (answer,) = Files().answer(asking)
        found = Boxes.decode(answer.payload)
        first = found.masks[0].array()
        assert first.sum() == 36 and first[2:8, 1:7].all()
        column = np.zeros((H, W), bool)
        column[:3, 1] = True
        np.testing.assert_array_equal(
            found.masks[1].array(), column if second is runs else MASKS[1]
        )
        assert answer.clicks == 68 and answer.seconds == pytest.approx(1 + 2 * 79.2)
    give(asking, None)
    (answer,) = Files().answer(asking)
    assert (answer.status, answer.seconds) == ('declined', 1)


def test_people_draw_boxes_with_points(asking):
    points = [[[1, 2, 'no'], [4, 5, 'yes']], [[11, 4, None], [4, 0, 'no']]]
    assert asked_of_people(asking, Files(points=2))['points'] == 2
    give(asking, {**TWO, 'points': points})
    (answer,) = Files(points=2).answer(asking)
    found = Boxes.decode(answer.payload)
    assert found.points.tolist() == [[p[:2] for p in row] for row in points]
    assert found.point_labels.tolist() == [[0, 1], [-1, 0]] and found.masks is None
    assert (answer.clicks, answer.elements) == (8 + 4, 4)
    assert answer.seconds == pytest.approx(1 + 14 + 4 * 0.9)


def test_people_draw_boxes_alone(asking):
    give(asking, TWO)
    (answer,) = Files(points=0).answer(asking)
    found = Boxes.decode(answer.payload)
    assert isinstance(found, Instances) and found.points.shape == (2, 0, 2)
    assert (answer.clicks, answer.seconds) == (8, 15)


def masks_of(*masks):
    return {**TWO, 'masks': list(masks)}


def points_of(*points):
    return {**TWO, 'points': list(points)}


FULL = Mask.of_array(MASKS[0]).rle()


@pytest.mark.parametrize(
    ('points', 'content', 'message'),
    [
        (None, TWO, 'to be JSON with `masks`'),
        (None, masks_of(FULL), '`masks` of length 2.*got 1'),
        (None, {**TWO, 'masks': None}, '`masks` of length 2.*got None'),
        (None, masks_of(FULL, None), 'lacks some'),
        (None, masks_of(FULL, []), 'lacks some'),
        (None, masks_of(FULL, [[1, 2, 3, 4]]), 'Could not read a mask'),
        (None, masks_of(FULL, 'abc'), 'Could not read a mask'),
        (None, masks_of(FULL, {'counts': 'abc'}), 'Could not read a mask'),
        (None, masks_of(FULL, {**FULL, 'counts': FULL['counts'][:-2]}), 'of 108 pixels'),
        (None, masks_of(FULL, {**FULL, 'counts': [4, 5]}), 'of 108 pixels in .*but got 9'),
        (None, masks_of(FULL, Mask.of_array(MASKS[0][1:]).rle()), r'of \(9, 12\).*got \(8, 12\)'),
        (None, {**masks_of(FULL, FULL), 'labels': ['fier', 'fire']}, 'Did you mean `fire`'),
        (1, TWO, 'to be JSON with `points`'),
        (1, points_of([[1, 2, 'no']]), '`points` of length 2.*got 1'),
        (1, points_of([[1, 2, 'no']], []), r'`points\[1\]` of length 1.*got 0'),
        (1, points_of([[1, 2, 'no']], [[11, 4]]), r'points \[x, y, answer\].*got \[11, 4\]'),
        (1, points_of([[1, 2, 'nein']], [[11, 4, 'no']]), "'yes', 'no' or null.*got 'nein'"),
        (1, points_of([[1, 2, True]], [[11, 4, 'no']]), "'yes', 'no' or null.*got True"),
        (1, points_of([[7, 2, 'no']], [[11, 4, 'no']]), r'inside the box \[1.*got \[7, 2\]'),
        (1, points_of([[1, 8, 'no']], [[11, 4, 'no']]), 'inside the box'),
        (1, points_of([[1.5, 2, 'no']], [[11, 4, 'no']]), 'whole pixels'),
        (0, {**TWO, 'boxes': [[0, 0, 13, 1]] * 2}, 'inside 12 x 9'),
        (0, '{"boxes": [', 'to be JSON with `boxes`'),
    ],
)
def test_wrong_objects_of_people_are_named(asking, points, content, message):
    give(asking, content)
    with pytest.raises(ValueError, match=message) as error:
        Files(points=points).answer(asking)
    assert 'town__b.json' in str(error.value)


POINTS = [(1, 8, 2), (0, 4, 5), (0, 1, 2)]


def replies(*said, points=POINTS):
    answers = [dict(instance=i, x=x, y=y, answer=a) for (i, x, y), a in zip(points, said)]
    return {'answers': answers}


def test_people_say_where_points_lie(asking):
    asking = points_asked(asking, POINTS)
    asked = asked_of_people(asking, Files(points=1))
    (sample,) = asked['samples']
    assert (asked['kind'], asked['form']) == ('point', 'answers')
    assert sample['label'] == 'labels/town__b.json'
    names = ('instance', 'x', 'y')
    assert [tuple(q[n] for n in names) for q in sample['asked']] == POINTS
    assert [q['class'] for q in sample['asked']] == ['water', 'fire', 'fire']
    assert sample['asked'][1]['box'] == BOXES.boxes[0].tolist()
    picture = np.asarray(Image.open(asking.folder / 'ask' / sample['picture']))
    assert picture.shape == (H, W, 3) and (picture[5, 4] == (255, 230, 0)).all()
    content = replies('yes', 'no', None)
    content['answers'].reverse()  # in any order
    give(asking, content)
    answers = Files(points=1).answer(asking)
    assert [(a.instance, a.unit % W, a.unit // W) for a in answers] == POINTS
    assert [a.status for a in answers] == ['answered', 'answered', 'declined']
    assert [Inside.decode(a.payload) for a in answers[:2]] == [Inside(True), Inside(False)]
    assert all(Inside.is_in(a.payload) for a in answers[:2]) and answers[2].payload == b''
    assert {(a.clicks, a.seconds, a.source) for a in answers} == {(1, 0.9, 'files')}
    give(asking, None)
    assert {a.status for a in Files(points=1).answer(asking)} == {'declined'}


def test_people_draw_the_masks_of_single_objects(asking):
    asking = replace(asking, query=query('instance', [(1, 1, 0), (1, 0, 0)], 40))
    (sample,) = asked_of_people(asking, Files(points=1))['samples']
    assert [q['instance'] for q in sample['asked']] == [1, 0] and 'x' not in sample['asked'][0]
    give(asking, {'answers': [dict(instance=0, answer=SQUARE), dict(instance=1, answer=None)]})
    declined, answer = Files(points=1).answer(asking)
    assert (declined.status, declined.instance, answer.instance) == ('declined', 1, 0)
    assert Mask.decode(answer.payload).array().sum() == 36
    assert declined.seconds == answer.seconds == 79.2


def test_people_answer_about_some_images(asking):
    ledger = Ledger([[drawn(0), drawn(1)]])
    asking = replace(asking, query=query('point', [(0, 0, 30), (1, 0, 30)]), ledger=ledger)
    give(asking, {'answers': [dict(instance=0, x=6, y=2, answer='yes')]})
    with pytest.raises(WaitingForAnswers, match='1 of 2'):
        Files(points=1).answer(asking)
    assert [a.sample for a in Files(points=1, wait_for='any').answer(asking)] == [1]


MORE = replies('yes', 'yes', 'no', 'no', points=[*POINTS, (0, 0, 0)])


@pytest.mark.parametrize(
    ('kind', 'content', 'message'),
    [
        ('point', replies('yes', 'no'), r'3 answers.*1 are missing, \(0, 1, 2\) first'),
        ('point', MORE, r'what was asked.*but got \(0, 0, 0\)'),
        ('point', replies('yes', 'maybe', 'no'), "'yes', 'no' or null.*got 'maybe'"),
        ('point', replies('yes', 1, 'no'), "'yes', 'no' or null.*got 1"),
        ('point', {'answers': [dict(instance=0, x=1, y=2)]}, 'with `answer`'),
        ('point', {'answers': ['yes']}, "with `answer`.*got 'yes'"),
        ('point', {'answers': None}, 'a list of `answers`.*got None'),
        ('point', {'answer': []}, 'to be JSON with `answers`'),
        ('point', {'answers': [dict(instance=[0], x=1, y=2, answer='yes')]}, 'what was asked'),
        ('instance', {'answers': [dict(instance=0, answer='yes')]}, 'Could not read a mask'),
        ('instance', {'answers': [dict(instance=2, answer=SQUARE)]}, r'but got \(2,\)'),
        ('instance', {'answers': []}, '1 answers.*1 are missing'),
    ],
)
def test_wrong_answers_of_people_are_named(asking, kind, content, message):
    single = replace(asking, query=query('instance', [(1, 0, 0)]))
    given = points_asked(asking, POINTS) if kind == 'point' else single
    give(given, content)
    with pytest.raises(ValueError, match=message) as error:
        Files(points=1).answer(given)
    assert 'town__b.json' in str(error.value)


def test_conflicting_answers_are_named(asking):
    given = points_asked(asking, POINTS)
    content = replies('yes', 'no', 'no')
    content['answers'].append({**content['answers'][0], 'answer': 'no'})
    give(given, content)
    with pytest.raises(ValueError, match=r'one answer.*\(1, 8, 2\)'):
        Files(points=1).answer(given)
