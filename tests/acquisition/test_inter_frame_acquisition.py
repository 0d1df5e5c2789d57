"""InterFrame: streaming equals the whole sequence; selection, history and pseudo-labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dense_al.acquisition import InterFrame, NothingLeftError, Selection
from dense_al.acquisition import functional as F
from dense_al.acquisition.frame_window import FrameWindow
from dense_al.acquisition.inter_frame import MATCHED, PLACE, SEQUENCE
from dense_al.pool import Ledger
from dense_al.registry import ACQUISITIONS, ConfigError
from dense_al.structures import Answer, Budget, ElementRows, Manifest, Query, SegPrediction

UNIT = dict(type='BalancedClusters', n_regions=4)
N, C, R = 60, 3, 4


class Drive:
    """Scans of sequences: the same places in another order, a little apart.

    Args:
        lengths: Frames of each sequence.
        same: Whether a place is predicted alike in all frames.
    """

    def __init__(self, lengths, seed=0, same=False):
        rng = np.random.default_rng(seed)
        names = [(f'{s:02d}', f) for s, length in enumerate(lengths) for f in range(length)]
        n = len(names)
        self.manifest = Manifest(
            names=tuple(f'{s}/{f}' for s, f in names), paths=('',) * n,
            heights=np.full(n, N), widths=np.ones(n, np.int64), domains=('target',) * n,
            sequences=tuple(s for s, _ in names), frames=np.array([f for _, f in names]),
        )  # fmt: skip
        places = rng.uniform(-20, 20, (N, 3))
        places = places[np.argsort(places[:, 0])]
        self.probs, self.xyz, self.maps = [], [], []
        fixed = rng.dirichlet(np.ones(C), N)
        for _ in names:
            order = rng.permutation(N)
            found = fixed if same else rng.dirichlet(np.ones(C), N)
            # Some places are not seen again: they lie too far from where they were.
            shift = rng.normal(0, 0.02, (N, 3)) + 2.0 * (rng.random((N, 1)) < 0.3)
            self.probs.append(found[order].astype(np.float32))
            self.xyz.append((places + (0 if same else shift))[order].astype(np.float32))
            self.maps.append((np.arange(N) * R // N)[order].astype(np.int32)[:, None])

    def points(self, sample):
        return self.xyz[sample]

    def map(self, sample):
        return self.maps[sample]

    def sizes(self, sample):
        return np.bincount(self.maps[sample].ravel(), minlength=R)

    def prediction(self, sample):
        return SegPrediction(sample, torch.from_numpy(self.probs[sample].T[..., None]))


def observed(drive, samples=None, **options):
    acquisition = InterFrame(unit=UNIT, **options)
    samples = range(len(drive.manifest)) if samples is None else samples
    parts = [acquisition.observe(drive.prediction(s), int(s), drive) for s in samples]
    return ElementRows.concatenate([p for p in [*parts, acquisition.flush()] if len(p)])


def neighbours_of(frame, length, n, stride):
    """The rule on whole sequences: half on either side, missing ones from the other side."""
    before = list(range(frame - stride, -1, -stride))
    after = list(range(frame + stride, length, stride))
    n_after = min(n - min(n // 2, len(before)), len(after))
    return sorted(before[: n - n_after] + after[:n_after])


@pytest.mark.parametrize(('n', 'stride'), [(4, 1), (3, 1), (4, 2), (24, 1)])
def test_streaming_equals_the_whole_sequence(n, stride):
    lengths = (9, 1, 2, 5, 30)
    drive = Drive(lengths)
    rows = observed(drive, n_neighbours=n, stride=stride, max_distance=0.1)
    assert rows.sample.tolist() == np.repeat(np.arange(sum(lengths)), R).tolist()
    assert rows.unit.tolist() == list(range(R)) * sum(lengths)
    first = 0
    for number, length in enumerate(lengths):
        for frame in range(length):
            near = [first + k for k in neighbours_of(frame, length, n, stride)]
            own = first + frame
            divergence, entropy, matches = F.inter_frame_scores(
                drive.probs[own], drive.xyz[own], [drive.probs[k] for k in near],
                [drive.xyz[k] for k in near], max_distance=0.1,
            )  # fmt: skip
            mine = rows.take(rows.sample == own)
            for region in range(R):
                inside = drive.maps[own].ravel() == region
                assert mine.score[region] == pytest.approx(divergence[inside].mean())
                found = mine.features[region]
                assert found[0] == pytest.approx(entropy[inside].mean(), rel=1e-5)
                assert found[PLACE] == pytest.approx(drive.xyz[own][inside].mean(0), rel=1e-4)
                assert found[SEQUENCE] == drive.manifest.sequences.index(f'{number:02d}')
                assert found[MATCHED] == pytest.approx((matches[inside] > 0).mean())
                counts = np.bincount(drive.probs[own][inside].argmax(1), minlength=C)
                assert mine.category[region] == counts.argmax()
        first += length


def test_probabilities_that_stay_on_their_device_give_the_same_rows(monkeypatch):
    drive = Drive((9, 5))
    wanted = observed(drive, measure='js')

    def searchable(self, probs, points):
        return probs, F.frame_cells(torch.as_tensor(points), self.max_distance)

    monkeypatch.setattr(InterFrame, '_searchable', searchable)
    monkeypatch.delattr('dense_al.acquisition.inter_frame.F.inter_frame_scores')
    found = observed(drive, measure='js')
    np.testing.assert_array_equal(found.keys, wanted.keys)
    np.testing.assert_array_equal(found.category, wanted.category)
    np.testing.assert_allclose(found.score, wanted.score, atol=1e-6)
    np.testing.assert_allclose(found.features, wanted.features, atol=1e-5)


def test_there_are_always_as_many_neighbours_where_the_sequence_is_long_enough():
    window = FrameWindow(4, 2)
    found = [item for i in range(20) for item in window.add(i, i)] + window.close()
    assert [frame for frame, _ in found] == list(range(20))
    assert {len(near) for _, near in found} == {4}
    assert found[0][1] == [2, 4, 6, 8] and found[3][1] == [1, 5, 7, 9]
    assert found[10][1] == [6, 8, 12, 14] and found[19][1] == [11, 13, 15, 17]


def test_no_more_frames_are_held_than_the_window_has():
    window = FrameWindow(6, 1)
    for i in range(50):
        window.add(i, i)
        assert len(window._held) <= 7


def neighbours(numbers, n_neighbours, stride=1):
    window = FrameWindow(n_neighbours, stride)
    found = [item for i in numbers for item in window.add(i, i)] + window.close()
    assert [frame for frame, _ in found] == list(numbers)
    return dict(found)


def test_what_comes_after_a_gap_is_no_neighbour():
    found = neighbours([0, 1, 2, 100, 101, 102], 2)
    assert found == {0: [1, 2], 1: [0, 2], 2: [0, 1],
                     100: [101, 102], 101: [100, 102], 102: [100, 101]}  # fmt: skip
    # Every other frame is there: those between them are not.
    assert neighbours(range(0, 12, 2), 2) == {i: [j for j in (i - 2, i + 2) if 0 <= j < 12]
                                              for i in range(0, 12, 2)}  # fmt: skip
    assert neighbours(range(0, 12, 2), 2, stride=2)[4] == [2, 6]
    # Within reach the next one takes the turn of the one that is missing.
    assert neighbours([0, 1, 2, 3, 5, 6, 7, 8], 4)[5] == [2, 3, 6, 7]


def test_any_gaps_give_what_all_frames_at_once_give():
    rng = np.random.default_rng(0)
    for n, stride in ((2, 1), (3, 2), (5, 3), (8, 1)):
        numbers = np.flatnonzero(rng.random(120) < 0.7).tolist()
        there = set(numbers)
        for number, found in neighbours(numbers, n, stride).items():
            before = [number - k * stride for k in range(1, n + 1)]
            after = [number + k * stride for k in range(1, n + 1)]
            before, after = ([i for i in side if i in there] for side in (before, after))
            after = after[: n - min(n // 2, len(before))]
            assert found == sorted(before[: n - len(after)] + after)


def test_frames_come_in_their_order():
    window = FrameWindow(2, 1)
    window.add(4, 'a')
    with pytest.raises(ValueError, match='ascending order, but got 4 after 4'):
        window.add(4, 'b')


def test_a_gap_in_a_drive_parts_it():
    drive = Drive((4, 4))
    manifest = replace(drive.manifest, sequences=('00',) * 8, frames=np.array([0, 1, 2, 3] * 2))
    manifest.frames[4:] += 50
    parted = Drive((4, 4))
    parted.manifest = manifest
    expected = observed(drive, n_neighbours=2)
    np.testing.assert_array_equal(observed(parted, n_neighbours=2).score, expected.score)


def test_equal_predictions_of_a_place_have_no_divergence():
    rows = observed(Drive((6,), same=True), n_neighbours=4)
    assert rows.score == pytest.approx(0, abs=1e-6)
    assert (rows.features[:, MATCHED] == 1).all()


def test_one_wrong_frame_stands_out():
    drive = Drive((9,), same=True)
    drive.probs[4] = drive.probs[4][:, ::-1].copy()
    rows = observed(drive, n_neighbours=4)
    mean = [rows.score[rows.sample == s].mean() for s in range(9)]
    assert np.argmax(mean) == 4
    assert mean[0] == pytest.approx(mean[1]) and mean[8] < mean[4] / 3


def test_another_measure():
    drive = Drive((5,))
    rows = observed(drive, n_neighbours=2, measure='js')
    assert 0 < rows.score.max() <= np.log(2)
    assert (rows.score != observed(drive, n_neighbours=2).score).all()


def test_matches_by_voxels():
    drive = Drive((5,))
    rows = observed(drive, n_neighbours=4, approximate=True, max_distance=0.06)
    for own in range(5):
        near = [k for k in range(5) if k != own]
        divergence, _, matches = F.inter_frame_scores(
            drive.probs[own], drive.xyz[own], [drive.probs[k] for k in near],
            [drive.xyz[k] for k in near], max_distance=0.06, approximate=True,
        )  # fmt: skip
        regions, mine = drive.maps[own].ravel(), rows.take(rows.sample == own)
        for values, found in ((divergence, mine.score), (matches > 0, mine.features[:, MATCHED])):
            expected = np.bincount(regions, values, minlength=R) / np.bincount(regions, minlength=R)
            assert found == pytest.approx(expected)
    exact = observed(drive, n_neighbours=4, max_distance=0.06)
    assert (exact.score != rows.score).any() and rows.score.max() > 0


def test_no_tree_is_made_where_voxels_match(monkeypatch):
    made, search_tree = [], F.search_tree
    monkeypatch.setattr(F, 'search_tree', lambda points: made.append(1) or search_tree(points))
    observed(Drive((3,)), n_neighbours=2, approximate=True)
    assert not made
    observed(Drive((3,)), n_neighbours=2)
    assert len(made) == 3


def test_means_over_matched_points_and_a_least_share_of_them():
    drive = Drive((6,))
    every = observed(drive, n_neighbours=2)
    matched = observed(drive, n_neighbours=2, matched_only=True)
    share = every.features[:, MATCHED].astype(np.float64)
    assert 0 < share.min() < share.max()
    assert matched.score == pytest.approx(every.score / share, rel=1e-6)
    limit = float(np.median(share)) + 1e-3
    cut = observed(drive, n_neighbours=2, min_matched=limit)
    assert ((cut.score == 0) == (share < limit)).all() and (cut.score > 0).any()


def test_processes_with_a_halo_see_the_same():
    from dense_al.engine.observe import with_halo

    drive = Drive((17, 9))
    samples = np.arange(26)
    whole = observed(drive, n_neighbours=4, stride=2)
    parts = []
    for own in np.array_split(samples, 4):
        seen = with_halo(own, samples, InterFrame(unit=UNIT, n_neighbours=4, stride=2).halo)
        rows = observed(drive, seen, n_neighbours=4, stride=2)
        parts.append(rows.take(np.isin(rows.sample, own)))
    split = ElementRows.concatenate(parts)
    assert (split.sample == whole.sample).all() and (split.score == whole.score).all()
    assert (split.features == whole.features).all()


def given(ledger=None, budget=None, seed=0, round_number=0):
    return Selection(
        ledger=ledger or Ledger(), budget=budget or Budget(100, 'points'), pool_elements=10_000,
        prices=lambda kind, size, sample, objects=0.0: (size * 1.0, size * 1.0),
        rng=np.random.default_rng(seed), n_classes=C, round_number=round_number,
    )  # fmt: skip


def rows_at(places, score, entropy=None, size=10, sequence=None):
    """One region per sample."""
    n = len(score)
    entropy = np.ones(n) if entropy is None else entropy
    sequence = np.zeros(n) if sequence is None else sequence
    columns = [entropy, np.asarray(places, np.float64), sequence, np.ones(n)]
    features = np.column_stack(columns).astype(np.float32)
    return ElementRows(
        np.arange(n), np.full(n, -1), np.zeros(n, np.int64), np.asarray(score, np.float64),
        np.full(n, size), np.zeros(n, np.int64), features,
    )  # fmt: skip


def line(n, step=10.0):
    return [(step * i, 0, 0) for i in range(n)]


def answered(sample, source='ground_truth', expires=-1, size=10):
    return Answer(sample, -1, 0, 'region', 'answered', source, size, 0, 0, 0, expires, b'')


def test_the_budget_is_spent_and_never_exceeded():
    rows = rows_at(line(20), np.arange(20))
    query = InterFrame(unit=UNIT).select(rows, given(budget=Budget(45, 'points')))
    assert query.sample.tolist() == [19, 18, 17, 16]


def test_places_asked_in_any_round_are_not_asked_again():
    rows = rows_at(line(10, step=3.0), np.arange(10))
    ledger = Ledger([[answered(9)], [answered(4)]])
    query = InterFrame(unit=UNIT).select(rows, given(ledger))
    # 3 m from a labelled one is the same place; so are two picks 3 m apart.
    assert query.sample.tolist() == [7, 2, 0]
    paper = InterFrame(unit=UNIT, mode='paper').select(rows, given(ledger))
    assert 8 in paper.sample and not {9, 4} & set(paper.sample.tolist())


def test_a_surer_region_gives_its_place_to_a_less_sure_one():
    rows = rows_at(line(2, step=3.0), [2.0, 1.0], entropy=np.array([0.2, 0.9]))
    assert InterFrame(unit=UNIT).select(rows, given()).sample.tolist() == [1]


def test_sequences_have_worlds_of_their_own():
    rows = rows_at([(0, 0, 0)] * 4, np.arange(4), sequence=np.array([0, 0, 2, 2]))
    assert InterFrame(unit=UNIT).select(rows, given()).sample.tolist() == [3, 1]


def test_ties_are_broken_by_the_seed_and_order_does_not_matter():
    rows = rows_at(line(30), np.zeros(30))

    def pick(rows, seed):
        return InterFrame(unit=UNIT).select(rows, given(seed=seed)).sample.tolist()

    assert pick(rows, 1) == pick(rows.take(np.random.default_rng(0).permutation(30)), 1)
    assert pick(rows, 1) != pick(rows, 2)


def test_nothing_left_is_said_clearly():
    rows = rows_at(line(3, step=1.0), np.arange(3))
    with pytest.raises(NothingLeftError, match='lower `min_distance`'):
        InterFrame(unit=UNIT).select(rows, given(Ledger([[answered(1)]])))
    with pytest.raises(NothingLeftError, match='all 3'):
        InterFrame(unit=UNIT).select(rows, given(Ledger([[answered(i) for i in range(3)]])))
    with pytest.raises(ConfigError, match='pay for at least one region'):
        InterFrame(unit=UNIT).select(rows, given(budget=Budget(5, 'points')))


def test_no_pseudo_labels_unless_wanted():
    rows = rows_at(line(4), np.arange(4))
    query = InterFrame(unit=UNIT).select(rows, given())
    assert InterFrame(unit=UNIT).pseudo(rows, query, given()) is None


def test_the_model_labels_what_frames_agree_on():
    # Sample 0 was never matched, so nothing is known of it; 2 is next to 1, and less sure.
    rows = rows_at(
        [(0, 0, 0), (10, 0, 0), (12, 0, 0), *line(7, 10.0)[3:]], np.arange(7.0),
        entropy=np.array([1, 0.5, 0.9, 1, 1, 1, 1]),
    )  # fmt: skip
    acquisition = InterFrame(unit=UNIT, pseudo=True)
    amount = given(budget=Budget(20, 'points'))
    query = acquisition.select(rows, amount)
    assert query.sample.tolist() == [6, 5]
    assert acquisition.pseudo(rows, query, amount).sample.tolist() == [1, 3]
    more = InterFrame(unit=UNIT, pseudo=True, pseudo_budget=10.0)
    assert more.pseudo(rows, query, amount).sample.tolist() == [1, 3, 4]
    near = InterFrame(unit=UNIT, pseudo=True, pseudo_budget=10.0, pseudo_distance=0.0)
    assert near.pseudo(rows, query, amount).sample.tolist() == [1, 2, 3, 4]


def test_a_pseudo_labelled_region_rests_for_one_round():
    rows = rows_at(line(6), [1, 2, 3, 4, 5, 6])
    acquisition = InterFrame(unit=UNIT, pseudo=True, pseudo_budget=0.1)
    by_model = [answered(5, 'model', expires=3), answered(0, 'model', expires=3)]
    ledger = Ledger([by_model])
    amount = dict(budget=Budget(100, 'points'))
    resting = given(ledger, round_number=3, **amount)
    query = acquisition.select(rows, resting)
    assert query.sample.tolist() == [4, 3, 2, 1]
    assert acquisition.pseudo(rows, Query.of_rows('region', rows.take([4])), resting).sample == [1]
    free = given(ledger, round_number=4, **amount)
    assert acquisition.select(rows, free).sample.tolist() == [5, 4, 3, 2, 1, 0]
    assert acquisition.pseudo(rows, Query.of_rows('region', rows.take([4])), free).sample == [0]


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (dict(mode='papper'), 'Expected `mode`'),
        (dict(n_neighbours=0), '`n_neighbours`'),
        (dict(stride=1.5), r'`(acquisition\.)?stride`'),
        (dict(max_distance=0), '`max_distance`'),
        (dict(min_distance=-1), '`min_distance`'),
        (dict(min_matched=2), '`min_matched`'),
        (dict(passes=0), '`passes`'),
        (dict(measure='jss'), '`measure`'),
        (dict(max_distence=1), 'Did you mean `max_distance`'),
    ],
)
def test_mistakes_are_named(option, message):
    with pytest.raises(ConfigError, match=message):
        ACQUISITIONS.build(dict(type='InterFrame', unit=UNIT, **option), 'acquisition')
