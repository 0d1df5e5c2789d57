"""Pictures of scans: where points fall, what hides what, and the gallery of a run."""

import numpy as np
import pytest

from dense_al.analysis import scan_pictures
from dense_al.analysis.scan_pictures import ASKED, BY_MODEL, RIGHT, WRONG, read_points, render_scan

COLOURS = np.array([(10, 20, 200), (30, 220, 40)], np.uint8)


def ground(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-20, 20, (n, 2)), rng.normal(-1.7, 0.02, n)])


def places(picture, colour):
    """(y, x) middle of the pixels of one colour in the upper view."""
    upper = picture[: picture.shape[1]]
    return np.argwhere((upper == colour).all(-1)).mean(0)


def test_ahead_is_up_and_left_is_left():
    points = ground()
    side = 200
    for axis, index in ((0, 0), (1, 1)):
        asked = points[:, axis] > 15
        picture = render_scan(points, asked, colours=COLOURS, side=side)['asked']
        middle = places(picture, ASKED)
        assert middle[index] < side / 4
        assert middle[1 - index] == pytest.approx(side / 2, abs=12)


def test_the_lower_view_is_over_azimuth_and_elevation():
    points = np.concatenate([ground(), [[10.0, 0, 2.0]] * 20, [[0, 10.0, -1.0]] * 20])
    for chosen, column in ((slice(4000, 4020), 0.5), (slice(4020, 4040), 0.25)):
        asked = np.zeros(len(points), bool)
        asked[chosen] = True
        picture = render_scan(points, asked, colours=COLOURS, side=200)['asked']
        found = np.argwhere((picture[206:] == ASKED).all(-1))
        assert found[:, 1].mean() / 200 == pytest.approx(column, abs=0.02)


def test_nothing_hides_what_was_asked():
    below = np.array([[5.0, 5.0, -1.7]])
    above = np.array([[5.0, 5.0, 3.0]])
    points = np.concatenate([ground(), below, above])
    asked = np.arange(len(points)) == 4000
    picture = render_scan(points, asked, colours=COLOURS, side=200)['asked']
    assert (picture[:200] == ASKED).all(-1).any()


def test_answers_predictions_and_errors():
    points = ground()
    labels = np.full(len(points), 255, np.uint8)
    labels[:1000] = points[:1000, 0] > 0
    prediction = np.ones(len(points), np.uint8)
    by_model = np.arange(len(points)) >= 3500
    drawn = render_scan(
        points, labels != 255, labels, prediction, by_model, colours=COLOURS, side=160
    )
    assert list(drawn) == ['asked', 'answered', 'predicted', 'errors']
    assert len({picture.shape for picture in drawn.values()}) == 1

    def has(title, colour):
        return (drawn[title] == colour).all(-1).any()

    assert has('asked', ASKED) and has('asked', BY_MODEL)
    assert has('answered', COLOURS[0]) and has('answered', COLOURS[1])
    assert has('predicted', COLOURS[1]) and not has('predicted', COLOURS[0])
    assert has('errors', WRONG) and has('errors', RIGHT)
    # What lies behind was predicted wrongly.
    assert places(drawn['errors'], WRONG)[0] > places(drawn['errors'], RIGHT)[0] + 20
    assert list(render_scan(points, None, colours=COLOURS, side=160)) == []


def test_files_of_points(tmp_path):
    values = np.arange(10, dtype='<f4')
    values.tofile(tmp_path / 'a.bin')
    assert read_points(str(tmp_path / 'a.bin'), 5).tolist() == [[0, 1, 2], [5, 6, 7]]
    with pytest.raises(ValueError, match='Expected 4 values per point'):
        read_points(str(tmp_path / 'a.bin'), 4)


def test_without_a_display_it_is_said(monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='Expected a display'):
        scan_pictures.show_scan(ground(5), np.zeros((5, 3), np.uint8), 'scan')
