"""Files of proposals: what is read, what is refused, what runs no code."""

import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from dense_al.proposals import (
    ListedImage,
    ProposalFileError,
    Proposals,
    read_mmdet,
    read_wetectron,
    wetectron_to_mmdet,
    write_mmdet,
)
from dense_al.proposals.safe_pickle import load_arrays

BOXES = np.array([[0, 0, 9, 9], [2, 3, 40, 50]], np.float32)
SCORES = np.array([0.9, 0.1], np.float32)


class Evil:
    """Runs a command when a plain pickle of it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def dump(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def image(tmp_path, name='a.jpg', indexes=(1,), size=(60, 50)):
    return ListedImage(tmp_path / 'images' / name, indexes, size)


def test_mmdet_there_and_back(tmp_path):
    path = tmp_path / 'new' / 'proposals.pkl'
    given = {'train/b.jpg': Proposals(BOXES, SCORES), 'train/a.jpg': Proposals(BOXES[:0], [])}
    write_mmdet(path, given)
    found = read_mmdet(path)
    assert list(found) == list(given)
    for boxes, scores in found.values():
        assert boxes.dtype == scores.dtype == np.float32 and boxes.shape == (len(scores), 4)
    np.testing.assert_array_equal(found['train/b.jpg'].boxes, BOXES)
    np.testing.assert_array_equal(found['train/b.jpg'].scores, SCORES)
    with path.open('rb') as file:  # as mmdet reads it
        plain = pickle.load(file)
    assert {k: sorted(v) for k, v in plain.items()} == dict.fromkeys(given, ['bboxes', 'scores'])
    assert [p.name for p in path.parent.iterdir()] == ['proposals.pkl']
    assert path.stat().st_mode & 0o444 == 0o444


def test_equal_proposals_give_equal_bytes(tmp_path):
    files = []
    loaded = pickle.loads(pickle.dumps((np.asfortranarray(BOXES), SCORES.astype('f4'))))
    for i, pair in enumerate([(BOXES, SCORES), loaded]):
        files.append(tmp_path / f'{i}.pkl')
        write_mmdet(files[-1], {'x/a': Proposals(*pair), 'x/b': Proposals(BOXES, SCORES)})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'proposals.pkl'
    write_mmdet(path, {'x/a': Proposals(BOXES, SCORES)})
    before = path.read_bytes()
    with pytest.raises(ProposalFileError, match='finite boxes and scores of `x/a`'):
        write_mmdet(path, {'x/a': Proposals(BOXES * np.nan, SCORES)})
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_mmdet_dumps_is_read(tmp_path):
    structures = pytest.importorskip('mmengine.structures')
    data = structures.InstanceData(bboxes=BOXES, scores=SCORES)
    found = read_mmdet(dump(tmp_path / 'x.pkl', {'val/a.jpg': data}))
    np.testing.assert_array_equal(found['val/a.jpg'].boxes, BOXES)
    np.testing.assert_array_equal(found['val/a.jpg'].scores, SCORES)


@pytest.mark.parametrize('protocol', range(2, 6))
def test_arrays_of_every_protocol(protocol):
    given = {
        'a': [BOXES, np.asfortranarray(BOXES), SCORES.astype('f8')],
        'b': (np.int64(7), np.array(['x', None], object), {1, 2}, b'\xff', 'ü', 1j, True),
    }
    found = load_arrays(io.BytesIO(pickle.dumps(given, protocol)), 'x')
    assert repr(found) == repr(given)


def test_pickles_of_python_2_are_read(tmp_path):
    # {'indexes': [5], 'boxes': [zeros (1, 4) uint16]}, protocol 2, as numpy for Python 2 wrote it
    old = (
        b'\x80\x02}q\x01(U\x07indexesq\x02]q\x03K\x05aU\x05boxesq\x04]q\x05'
        b'cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08U\x01bq\t'
        b'\x87q\nRq\x0b(K\x01K\x01K\x04\x86q\x0ccnumpy\ndtype\nq\rU\x02u2q\x0eK\x00K\x01\x87q\x0f'
        b'Rq\x10(K\x03U\x01<q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89'
        b'U\x08\x01\x00\x02\x00\xff\x00\x04\x00q\x13tq\x14bau.'
    )
    (tmp_path / 'old.pkl').write_bytes(old)
    found = read_wetectron(tmp_path / 'old.pkl')
    assert found[5].boxes.tolist() == [[1, 2, 255, 4]] and found[5].scores.tolist() == [0]


@pytest.mark.parametrize('protocol', range(2, 6))
@pytest.mark.parametrize('read', [read_mmdet, read_wetectron])
def test_code_is_not_run(tmp_path, read, protocol):
    path = dump(tmp_path / 'x.pkl', {'boxes': [Evil(tmp_path / 'ran')]}, protocol)
    with pytest.raises(ProposalFileError, match=r'x\.pkl, but got `\w+\.system`, which may be'):
        read(path)
    assert not (tmp_path / 'ran').exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / 'ran').exists()  # the test's own proof


@pytest.mark.parametrize(
    'name', ['builtins eval', 'builtins getattr', 'numpy load', 'numpy f2py.os', 'torch load']
)
def test_other_names_are_refused(name):
    module, what = name.split()
    content = f'c{module}\n{what}\n.'.encode()
    with pytest.raises(ProposalFileError, match=f'`{module}.{what}`'):
        load_arrays(io.BytesIO(content), 'x')


def test_damaged_files_are_named(tmp_path):
    path = dump(tmp_path / 'x.pkl', {'x/a.jpg': {'bboxes': BOXES}})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ProposalFileError, match=r'Expected a whole pickle in .*x\.pkl'):
        read_mmdet(path)
    path.write_bytes(b'')
    with pytest.raises(ProposalFileError, match=r'x\.pkl, but got an empty file'):
        read_mmdet(path)
    with pytest.raises(FileNotFoundError, match=r'no\.pkl'):
        read_wetectron(tmp_path / 'no.pkl')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1], 'Expected a dict of images .* but got list'),
        ({3: {'bboxes': BOXES}}, "Expected keys 'folder/file' .* but got 3"),
        ({'a/b': BOXES}, 'Expected a dict with `bboxes` for `a/b` .* but got ndarray'),
        ({'a/b': {'boxes': BOXES}}, r"dict with `bboxes` for `a/b` .* but got \['boxes'\]"),
        ({'a/b': {'bboxes': BOXES[:, :3]}}, r'\(N, 4\) of `a/b` .* but got \(2, 3\)'),
        ({'a/b': {'bboxes': BOXES.astype(str)}}, r'\(N, 4\) of `a/b`'),
        ({'a/b': {'bboxes': BOXES, 'scores': SCORES[:1]}}, r'shape \(2,\) .* but got \(1,\)'),
        ({'a/b': {'bboxes': BOXES + np.inf}}, 'Expected finite boxes and scores of `a/b`'),
    ],
)
def test_wrong_mmdet_files(tmp_path, content, message):
    with pytest.raises(ProposalFileError, match=message):
        read_mmdet(dump(tmp_path / 'x.pkl', content))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1], 'list `indexes` or `ids` .* but got list'),
        ({'boxes': [BOXES], 'index': [1]}, 'Did you mean `index`'),
        ({'indexes': [1]}, 'list `boxes`'),
        ({'indexes': [1, 2], 'boxes': [BOXES]}, 'but got 2, 1 and 1'),
        ({'ids': [1], 'boxes': [BOXES], 'scores': [1, 2]}, 'but got 1, 1 and 2'),
        ({'ids': [1, 1], 'boxes': [BOXES, BOXES]}, 'Expected each image once, but got 1 again'),
        ({'ids': [1], 'boxes': [BOXES[0]]}, r'\(N, 4\) of image 1 of .* but got \(4,\)'),
    ],
)
def test_wrong_wetectron_files(tmp_path, content, message):
    with pytest.raises(ProposalFileError, match=message):
        read_wetectron(dump(tmp_path / 'x.pkl', content))


def test_wetectron_from_several_files(tmp_path):
    for name, number in (('train', 12), ('val', 7)):
        content = {'indexes': [number], 'boxes': [BOXES + number], 'scores': [SCORES]}
        dump(tmp_path / name, content)
    found = read_wetectron(tmp_path / 'train', tmp_path / 'val')
    assert list(found) == [12, 7]
    np.testing.assert_array_equal(found[7].boxes, BOXES + 7)
    np.testing.assert_array_equal(found[12].scores, SCORES)
    with pytest.raises(ProposalFileError, match='but got 12 again'):
        read_wetectron(tmp_path / 'train', tmp_path / 'train')


def test_ends_move_and_boxes_are_clipped(tmp_path):
    boxes = np.array([[0, 0, 9, 9], [-5, 10, 49, 80], [45, 50, 70, 90]], np.float32)
    given = {1: Proposals(boxes, np.zeros(3))}
    found = wetectron_to_mmdet(given, [image(tmp_path)])['images/a.jpg']
    assert found.boxes.tolist() == [[0, 0, 10, 10], [0, 10, 50, 60], [45, 50, 50, 60]]
    found = wetectron_to_mmdet(given, [image(tmp_path)], inclusive=False)['images/a.jpg']
    assert found.boxes.tolist()[0] == [0, 0, 9, 9]
    assert given[1].boxes is boxes and boxes[0, 2] == 9


def test_repeated_thin_and_outer_boxes_are_dropped(tmp_path):
    boxes = [[0, 0, 9, 9], [5, 5, 5, 9], [0, 0, 9, 9], [60, 0, 70, 9], [5, 5, 6, 6], [0, 0, 9, 8]]
    given = {1: Proposals(np.array(boxes, np.float32), np.zeros(6, np.float32))}
    found = wetectron_to_mmdet(given, [image(tmp_path)])['images/a.jpg']
    assert found.boxes.tolist() == [[0, 0, 10, 10], [5, 5, 7, 7], [0, 0, 10, 9]]


def test_the_best_score_comes_first(tmp_path):
    boxes = np.array([[0, 0, 9, n] for n in range(5, 10)], np.float32)
    given = {1: Proposals(boxes, np.array([0, 2, 1, 2, 0], np.float32))}
    found = wetectron_to_mmdet(given, [image(tmp_path)])['images/a.jpg']
    assert found.scores.tolist() == [2, 2, 1, 0, 0]
    assert found.boxes[:, 3].tolist() == [7, 9, 8, 6, 10]


def test_images_without_boxes(tmp_path):
    images = [image(tmp_path, f'{i}.jpg', (i,)) for i in range(8)]
    some = {i: Proposals(BOXES, SCORES) for i in range(1, 3)}
    with pytest.raises(ProposalFileError, match=r'8 images, but got none of .*5\.jpg.* and 1 more'):
        wetectron_to_mmdet(some, images)
    outside = {i: Proposals(BOXES + 500, SCORES) for i in range(8)}
    with pytest.raises(ProposalFileError, match='Expected a box of each image, but got none of'):
        wetectron_to_mmdet(outside, images)
    found = wetectron_to_mmdet(outside, images, whole_if_empty=True)
    assert all(p.boxes.tolist() == [[0, 0, 50, 60]] for p in found.values()) and len(found) == 8


def test_other_box_layouts_are_refused(tmp_path):
    swapped = {1: Proposals(np.array([[30, 30, 10, 10]], np.float32), np.zeros(1))}
    with pytest.raises(ProposalFileError, match=r'x1, y1, x2, y2 of images/a\.jpg, but got \[30'):
        wetectron_to_mmdet(swapped, [image(tmp_path)])


def test_images_left_over_and_their_order(tmp_path):
    given = {i: Proposals(BOXES, SCORES) for i in (3, 9, 4)}
    images = [image(tmp_path, 'b.jpg', ('4', 4)), image(tmp_path, 'a.jpg', ('000009', 9))]
    assert list(wetectron_to_mmdet(given, images)) == ['images/b.jpg', 'images/a.jpg']


def test_reading_needs_neither_torch_nor_mm():
    code = 'import sys, dense_al.proposals\nassert not {"torch", "mmengine"} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True)
