import importlib.util
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dense_al.analysis import Gallery, load_curve, load_run, plot, write_report
from dense_al.analysis.curves import curve_of
from dense_al.analysis.plot import mean_band
from dense_al.analysis.report import _galleries
from dense_al.analysis.sections import comparison, histogram, per_class, time
from dense_al.engine.reopen import find_runs
from dense_al.structures import Boxes, Tags

from .conftest import CLASSES, region_map, truth_of

TOOLS = Path(__file__).parents[2] / 'tools'
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), '')
SHOWN = Gallery(
    region_maps=lambda _: region_map, predictions=lambda _: lambda r, s: truth_of(s), side=160
)


class Page(HTMLParser):
    """Collects tags, ids and addresses; checks that elements are closed in order."""

    VOID = {'meta', 'link', 'img', 'br', 'input', 'hr'}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, key):
        return [attrs[key] for _, attrs in self.tags if key in attrs]


@pytest.fixture(scope='module')
def report(runs_folder, tmp_path_factory):
    return write_report([runs_folder], tmp_path_factory.mktemp('out') / 'r.html', 0.75, SHOWN)


def test_page_needs_nothing_else(report):
    text = report.read_text()
    page = Page(text)
    addresses = page.of('src') + page.of('href') + re.findall(r'url\(([^)]*)\)', text)
    assert addresses and all(a.startswith(('data:', '#')) for a in addresses)
    assert '@import' not in text and 'http://' not in text and 'https://' not in text


def test_page_is_well_formed(report):
    page = Page(report.read_text())
    ids = page.of('id')
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in page.of('href') if a.startswith('#')} <= set(ids)
    assert all(attrs.get('alt') for tag, attrs in page.tags if tag == 'img')
    svgs = [attrs for tag, attrs in page.tags if tag == 'svg']
    assert len(svgs) == 7 and all(s['aria-label'] and s['role'] == 'img' for s in svgs)


def test_page_says_what_the_runs_say(report):
    text = report.read_text()
    full = 'All labels: mIoU 0.750'
    for words in ('Margin + KCenter', 'baseline', 'cannot reach p &lt; .05', full):
        assert words in text
    assert '5 rounds trained' not in text and 'resumed inexactly' not in text


def test_one_unfinished_run(write_run, tmp_path):
    path = write_run(rounds=2, stop='query')
    text = write_report([path], tmp_path / 'deep/r.html').read_text()
    assert 'waiting for answers, 2 rounds trained' in text and 'no answers yet' in text
    assert 'Area − ' not in text
    assert 'The outlines of its regions are not at hand' in text


def test_resumed_and_short_runs_are_named(write_run, tmp_path):
    paths = [write_run(seed=s, rounds=3 - s) for s in range(2)]
    train = paths[0] / 'rounds/001/train.json'
    train.write_text(json.dumps({**json.loads(train.read_text()), 'exact': False}))
    text = write_report(paths, tmp_path / 'r.html', gallery=Gallery(max_images=0)).read_text()
    assert 'training of round 1 was resumed inexactly' in text
    assert '2 rounds, others have 3' in text and 'What was asked' not in text


def test_levels_of_labels_and_plurals(write_run, tmp_path):
    path = write_run(rounds=2)
    train = path / 'rounds/001/train.json'
    samples = {'full': 3, 'regions': 0, 'tags': 600}
    train.write_text(json.dumps({**json.loads(train.read_text()), 'samples': samples}))
    for name in ('initial/query.json', 'rounds/000/query.json'):
        body = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps({**body, 'kind': 'tags'}))
    text = write_report([path], tmp_path / 'r.html').read_text()
    assert 'in the last round trained: full 3, tags 600.' in text
    assert ' tags ' in text and 'tagss' not in text


def test_hostile_names_are_escaped(write_run, tmp_path):
    path = write_run(rounds=2)
    file = path / 'environment.json'
    file.write_text(json.dumps({'seed': 0, 'method': '<script>alert(1)</script>&"'}))
    page = Page(write_report([path], tmp_path / 'r.html').read_text())
    assert sum(tag == 'script' for tag, _ in page.tags) == 1


def test_missing_values_do_not_break_the_page(write_run, tmp_path):
    path = write_run(rounds=2)
    train = path / 'rounds/000/train.json'
    body = json.loads(train.read_text())
    body['per_class'].pop('car')
    body['per_class']['person'] = float('nan')
    train.write_text(json.dumps(body))
    assert write_report([path], tmp_path / 'r.html').is_file()
    table = per_class('x', [load_run(path)])
    assert sorted(table['classes']) == sorted(CLASSES)
    assert np.isnan(table['rows'][table['classes'].index('car')][0][0])


def test_refuses_what_holds_no_run(write_run, tmp_path):
    with pytest.raises(FileNotFoundError, match='Runs nearby'):
        write_report([tmp_path / 'nowhere'], tmp_path / 'r.html')
    with pytest.raises(ValueError, match='a trained round, but got none'):
        write_report([write_run(rounds=0)], tmp_path / 'r.html')


def test_sections_equal_the_files(runs_folder):
    runs = [load_run(p) for p in find_runs(runs_folder / 'entropy')]
    values = [[r.train['per_class']['tree'] for r in run.rounds] for run in runs]
    shown = [v for v, _ in per_class('x', runs)['rows'][CLASSES.index('tree')]]
    np.testing.assert_allclose(shown, np.mean(values, axis=0))
    counts = histogram({'x': runs})['counts']['x']
    answers = [r.answers_table().to_pylist() for run in runs for r in run.rounds if r.done]
    elements = sum(a['elements'] for rows in answers for a in rows)
    declined = sum(a['elements'] for rows in answers for a in rows if a['status'] == 'declined')
    told = sum(4 for rows in answers for a in rows if a['status'] == 'answered')
    assert sum(counts.values()) == elements - declined - told
    assert time({'x': runs})['rows']['round 2'] == pytest.approx(
        {'train': 40, 'evaluate': 4, 'observe': 6, 'select': 0.4, 'ask': 0.3, 'record': 0.1}
        | {'overhead': 0.15}
    )


@pytest.mark.parametrize(
    ('label', 'name'),
    [(Boxes([[0, 0, 1, 1]], [0]), 'objects'), (Tags([1]), 'tags'), (None, 'pixels')],
)
def test_what_is_counted_is_named(write_run, tmp_path, label, name):
    path = write_run(rounds=2, kind='image')
    if label is not None:
        file = path / 'rounds/000/answers.parquet'
        rows = [{**row, 'payload': label.encode()} for row in pq.read_table(file).to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows), file)
    page = write_report([path], tmp_path / 'r.html', gallery=Gallery(max_images=0)).read_text()
    assert f'Answered {name} per class' in page and f'share of answered {name} (%)' in page


def test_a_seed_that_has_only_begun_leaves_the_areas_of_the_others(write_run):
    runs = [load_run(write_run(seed=s, rounds=3 - 2 * (s == 1))) for s in range(3)]
    groups = {'x': runs}
    (row,) = comparison(groups, None, None)['area_rows']
    whole = comparison({'x': [runs[0], runs[2]]}, None, None)['area_rows'][0]
    assert np.isfinite(row['cells']).all() and row['cells'] == whole['cells']
    band = mean_band([curve_of(run) for run in runs])
    np.testing.assert_array_equal(band[1], mean_band([curve_of(runs[0]), curve_of(runs[2])])[1])


def test_gallery_shows_the_rounds_asked_for(runs_folder):
    groups = {'x': [load_run(runs_folder / 'random/seed_0')]}
    shown = _galleries(groups, Gallery(rounds=[-1, 2], max_images=1, region_maps=lambda _: None))
    assert [r['title'] for r in shown[0]['rounds']] == ['Initial labels', 'Round 2']


def test_chart_holds_curves_floor_and_line(runs_folder, tmp_path):
    curves = {'m': [load_curve(runs_folder / f'random/seed_{s}', 'seconds') for s in range(3)]}
    figure = plot.learning_curves(curves, full_supervision=0.8)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    floor = np.mean([c.y[0] for c in curves['m']])
    np.testing.assert_allclose(lines['first round'].get_ydata(), floor)
    np.testing.assert_allclose(lines['all labels'].get_ydata(), 0.8)
    assert 'm (n=3)' in lines
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('annotation time (s)', 'mIoU')
    assert plot.to_png(figure, tmp_path / 'c.png') == (tmp_path / 'c.png').read_bytes()


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_report_tool(write_run, tmp_path, capsys):
    path = write_run(rounds=2)
    assert load_tool('al_report').main([str(path), '--full', '0.8', '--max-images', '1']) == 0
    assert (path / 'report.html').is_file()
    assert load_tool('al_report').main([str(tmp_path / 'none')]) == 2
    assert 'Expected the folder of a run' in capsys.readouterr().err


def test_browse_tool(write_run, tmp_path, capsys):
    path = write_run(rounds=3)
    out = tmp_path / 'pictures'
    tool = load_tool('browse_queries')
    assert tool.main([str(path), '--round', '1', '--out', str(out), '--max', '2']) == 0
    assert len(list(out.glob('round001_*.png'))) == 2
    assert tool.main([str(path), '--max', '1']) == 0
    assert len(list((path / 'queries').glob('*.png'))) == 3
    assert tool.main([str(path), '--round', '7']) == 2
    assert 'Expected a round among' in capsys.readouterr().err


def dump_dom(page, folder):
    command = [CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--dump-dom']
    command += [
        '--enable-logging=stderr',
        f'--user-data-dir={folder}',
        '--virtual-time-budget=3000',
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=60)
    assert not re.search(r'CONSOLE|Uncaught', done.stderr), done.stderr
    return done.stdout


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason='needs Chromium')
def test_page_in_a_browser(report, tmp_path):
    measure = (
        "<script>addEventListener('load', () => parent.postMessage(["
        'document.documentElement.clientWidth, '
        "document.documentElement.scrollWidth, document.querySelectorAll('[role=tab]').length, "
        "[...document.images].filter((i) => i.complete && !i.naturalWidth).length], '*'))</script>"
    )
    inner = tmp_path / 'inner.html'
    inner.write_text(report.read_text().replace('</body>', f'{measure}</body>'))
    outer = tmp_path / 'outer.html'
    outer.write_text(
        '<body><p id="said"></p><script>onmessage = (e) => '
        "document.getElementById('said').textContent = e.data.join(' ')</script>"
        '<iframe src="inner.html" width="420" height="900" style="border:0"></iframe></body>'
    )
    said = re.search(r'id="said">([\d ]+)<', dump_dom(outer, tmp_path / 'a'))
    assert said, 'the page ran no script'
    width, needed, tabs, broken = map(int, said[1].split())
    assert needed == width >= 400
    assert tabs == 4 + 3 + 3 and broken == 0
    dom = dump_dom(report, tmp_path / 'b')
    assert dom.count('aria-selected="true"') == 3 and dom.count('hidden=""') == 3 + 2 + 2
    assert 'labelled regions' in dom and 'Results per class' in dom


def test_a_run_on_all_labels_is_the_ceiling(write_run, tmp_path):
    ceiling = write_run('coreset', rounds=1)
    train = ceiling / 'rounds/000/train.json'
    content = json.loads(train.read_text())
    content['labelled']['fraction'] = 1.0
    train.write_text(json.dumps({**content, 'value': 0.9123}))
    page = write_report([write_run('random', rounds=3), ceiling], tmp_path / 'r.html')
    text = page.read_text()
    assert 'All labels: mIoU 0.912' in text and 'KCenter' not in text
    assert write_report([ceiling], tmp_path / 'alone.html').is_file()
