"""Tags as labels: payloads, what is known of a sample, and what they cost."""

import numpy as np
import pytest

from dense_al.pool import Ledger, Prices, TagStore, views
from dense_al.structures import Answer, Boxes, Pixels, Query, Tags, decode


def answer(sample, kind, label):
    return Answer(
        sample, -1, 0, kind, 'answered', 'x', 0 if kind == 'tags' else 64, label.category,
        1.0, 2.0, -1, label.encode(),
    )  # fmt: skip


def test_payloads_of_tags_are_told_from_others():
    payload = Tags([4, 1, 4]).encode()
    assert Tags.is_in(payload) and not Boxes.is_in(payload)
    assert Tags.decode(payload).labels.tolist() == [1, 4]
    assert decode(payload).class_counts(6).tolist() == [0, 1, 0, 0, 1, 0]
    assert len(Tags.decode(Tags([]).encode())) == 0
    with pytest.raises(ValueError, match='payload of tags'):
        Tags.decode(Boxes([[0, 0, 1, 1]], [2]).encode())
    with pytest.raises(ValueError, match='payload of boxes'):
        Boxes.decode(payload)
    with pytest.raises(ValueError, match='from 0'):
        Tags([-1])


def test_tags_of_pixels():
    assert Pixels(np.array([[3, 255], [0, 3]], np.uint8)).classes().tolist() == [0, 3]


def test_boxes_tell_the_tags_and_more():
    known = TagStore(
        [answer(0, 'tags', Tags([1, 2])), answer(1, 'tags', Tags([0])),
         answer(1, 'image', Boxes([[0, 0, 1, 1]], [3]))]
    )  # fmt: skip
    assert known.samples == [0, 1]
    assert known.tags(0).tolist() == [1, 2] and known.tags(1).tolist() == [3]
    assert known.tags(7) is None


def test_tags_leave_an_image_to_be_asked_and_count_no_objects():
    tags = [answer(s, 'tags', Tags([1])) for s in range(3)]
    ledger = Ledger([tags])
    assert len(ledger.whole_samples()) == 0 and ledger.totals().elements == 0
    assert ledger.class_counts(3).tolist() == [0, 0, 0]
    full = Ledger([tags, [answer(2, 'image', Boxes([[0, 0, 1, 1]], [1]))]])
    assert full.whole_samples().tolist() == [2] and full.totals().elements == 64
    parts = views(full)
    assert parts['full'].tolist() == [2] and parts['tags'].tolist() == [0, 1]


def test_each_tag_is_billed():
    clicks, seconds = Prices().of('tags', np.array([64]), np.array([64]), np.array([3]))
    assert clicks.tolist() == seconds.tolist() == [3.0]


def test_notes_travel_with_a_query():
    columns = [np.array(c) for c in ([5, 6], [-1, -1], [0, 0], [1.0, 0.5], [64, 64])]
    query = Query('image', *columns, notes=(b'ab', b''))
    again = Query.of_table('image', query.table())
    assert again.notes == (b'ab', b'') and again.sample.tolist() == [5, 6]
    assert Query.of_table('image', Query('image', *columns).table()).notes is None
    with pytest.raises(ValueError, match='Expected 2 notes'):
        Query('image', *columns, notes=(b'ab',))
