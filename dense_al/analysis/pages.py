"""Pages of measured results: one per study, and their index, as markdown made from stored runs."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dense_al.analysis.plot import learning_curves
from dense_al.analysis.statistics import rank_tests_note
from dense_al.analysis.studies import (
    CEILING,
    FLOOR,
    METHOD,
    PERCENT,
    Entry,
    Study,
    entries_of,
    missing_runs,
)
from dense_al.analysis.verdicts import (
    Difference,
    Verdict,
    differences,
    judge,
    level_of,
    mean_and_std,
    shares_of,
)

MADE = '<!-- Made by tools/make_results.py from stored runs; edit {source} and run it again. -->'
ALIKE = 0.02  # part of the mean by which the costs of one round may differ and still name it


def study_figure(study: Study, entries: Sequence[Entry]) -> Figure | None:
    """The learning curves of a study with its floor and ceiling, None without a run of a method."""
    groups = _groups(study, entries)
    if not groups:
        return None
    ceiling, floor = level_of(entries, CEILING), level_of(entries, FLOOR)
    return learning_curves(
        groups,
        None if math.isnan(ceiling) else ceiling,
        floor if math.isfinite(floor) else not study.floor,
    )


def study_page(study: Study, entries: Sequence[Entry], picture: str | None) -> str:
    """The page of a study, of which at least one run is stored.

    Args:
        study: The study.
        entries: Its stored runs.
        picture: Address of the picture of its curves, None for none.

    Returns:
        Markdown; the same runs give the same text.
    """
    parts = [
        f'# {study.title}',
        MADE.format(source=f'studies/{study.name}.yaml'),
        _wrapped(study.world),
        '## Verdict',
        *verdict_lines(study, entries),
        '## Measured',
        _wrapped(_measured_intro(study, entries)),
        _rounds_table(study, entries),
        _wrapped(_tests_note(study, entries)),
        '' if picture is None else f'![Learning curves]({picture})',
        _shares_section(study, entries),
        f'## Findings\n\n{study.findings.strip()}' if study.findings else '',
        _runs_section(study, entries),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def index_page(studies: Sequence[tuple[Study, Sequence[Entry]]], others: Mapping[str, str]) -> str:
    """The index of all pages.

    Args:
        studies: All studies with their stored runs.
        others: File name -> title of the pages written by hand.
    """
    rows = [_index_row(study, entries) for study, entries in studies]
    head = ('study', 'runs', 'share of the ceiling', 'areas under the curves')
    listed = '\n'.join(f'- [{title}]({name})' for name, title in others.items())
    return '\n\n'.join([
        '# Measured results',
        MADE.format(source='studies/*.yaml'),
        _wrapped(
            'Each study compares methods over paired seeds; every finished run is a small file in '
            '[cells](cells), and all numbers of these pages are computed from them. '
            '`tools/make_results.py --missing` lists the runs that are not there yet, '
            '`tools/make_results.py --run STUDY` makes them; it can be interrupted and goes on.'
        ),
        _table(head, rows),
        '## Other measurements',
        listed,
    ]) + '\n'  # fmt: skip


def verdict_lines(study: Study, entries: Sequence[Entry]) -> list[str]:
    """What a study found: its claim, then its methods against the baseline."""
    lines = []
    if study.claim is not None:
        found = [_claim_sentence(study, v) for v in judge(study, entries)]
        lines.append(_wrapped(f'Claim: {study.claim.text.strip()}'))
        lines.append('\n'.join(_wrapped(f'- {text}', '  ') for text in found))
    lines.append(_wrapped(f'Areas under the curves: {compared(study, entries)}.'))
    return lines


def compared(study: Study, entries: Sequence[Entry]) -> str:
    """Which methods are above or below the references, in words."""
    told = []
    for reference in study.references:
        known = [d for d in differences(study, entries, reference) if math.isfinite(d.interval.low)]
        names = {
            f'above {reference}': [d.label for d in known if d.sign > 0],
            f'below {reference}': [d.label for d in known if d.sign < 0],
            f'not told apart from {reference}': [d.label for d in known if d.sign == 0],
        }
        told += [f'{", ".join(labels)} {where}' for where, labels in names.items() if labels]
    return '; '.join(told) or f'fewer than two pairs of runs with {study.baseline}, no interval'


def _claim_sentence(study: Study, v: Verdict) -> str:
    assert study.claim is not None
    claimed = f'{_percent(study.claim.share)} of the ceiling'
    if not v.seeds:
        return f'{v.label}: open, no run is stored.'
    if math.isnan(v.share):
        return f'{v.label}: open, the ceiling is not stored.'
    word = {True: '**reached**', False: '**not reached**', None: 'open'}[v.reached]
    low_high = f' [{_percent(v.low)}, {_percent(v.high)}]' if math.isfinite(v.low) else ''
    text = (
        f'{v.label}: {word}; {_percent(v.share)}{low_high} of the ceiling at {_percent(v.at)} of '
        f'the labels, {v.seeds_reached} of {v.seeds} runs have {claimed}'
    )
    if v.reached is None:
        side = 'begin after' if v.at > study.claim.at else 'end before'
        text += f'; the runs {side} {_percent(study.claim.at)} of the labels'
    if math.isfinite(v.reached_at):
        text += f'; the mean curve has it from {_percent(v.reached_at)} of the labels on'
    return text + '.'


def _index_row(study: Study, entries: Sequence[Entry]) -> tuple[str, ...]:
    there, planned = _count(entries)
    runs = f'{there} of {planned}'
    if not there:
        earlier = f'; [measured earlier]({study.earlier})' if study.earlier else ''
        return study.title, f'{runs}{earlier}', '', ''
    link = f'[{study.title}]({study.name}.md)'
    return link, runs, _told(study, entries), compared(study, entries)


def _in_the_end(study: Study, entries: Sequence[Entry]) -> str:
    """What the baseline has after the last round, beside which a claim is to be seen."""
    for entry in entries_of(entries, METHOD):
        if entry.label == study.baseline and math.isfinite(shares_of(entries, entry)[0][-1]):
            return f'; {study.baseline} {_percent(shares_of(entries, entry)[0][-1])} in the end'
    return ''


def _told(study: Study, entries: Sequence[Entry]) -> str:
    """The claim and how its methods stand to it, else what all methods have in the end."""
    if study.claim is not None:
        words = {True: '**reached**', False: '**not reached**', None: 'open'}
        told = []
        for v in judge(study, entries):
            share = f', {_percent(v.share)}' if math.isfinite(v.share) else ''
            seeds = f' ({v.seeds} of {len(study.seeds)} seeds)' * (0 < v.seeds < len(study.seeds))
            told.append(f'{v.label} {words[v.reached]}{share}{seeds}')
        claimed = f'{_percent(study.claim.share)} at {_percent(study.claim.at)} of the labels'
        return f'claimed: {claimed}; {"; ".join(told)}{_in_the_end(study, entries)}'
    last = [shares_of(entries, e)[0][-1] for e in entries_of(entries, METHOD)]
    if not last or math.isnan(last[0]):
        return ''
    ends = dict.fromkeys((_percent(min(last), 0), _percent(max(last), 0)))
    return f'{" to ".join(ends)} after the last round'


def _measured_intro(study: Study, entries: Sequence[Entry]) -> str:
    groups = _groups(study, entries)
    if not groups:
        return 'No run of a method is stored yet.'
    first = next(iter(groups.values()))[0]
    return (
        f'{first.metric} after each round, mean ± standard deviation over seeds. '
        f'Columns: {first.x_label}. Differences are those of the areas under the curves (their '
        f'mean heights over the range that all cover), with 95 % t intervals over paired seeds, '
        f'not adjusted for the number of methods. Clicks and hours: of all answers before the last '
        f'round, by the prices of the oracle.'
    )


def _rounds_table(study: Study, entries: Sequence[Entry]) -> str:
    heads = _round_heads(study, entries)
    found = {r: differences(study, entries, r) for r in study.references}
    tested = any(math.isfinite(d.p) for d in sum(found.values(), []))
    rows = []
    for entry in entries:
        row = [entry.label, _seeds(entry)]
        row += _round_cells(entry, len(heads))
        for differ in found.values():
            own = next((d for d in differ if d.label == entry.label), None)
            row += _difference_cells(own, tested)
        rows.append((*row, *_costs(entry)))
    columns: list[str] = []
    for reference in study.references:
        columns += [f'difference to {reference}', *(['Wilcoxon p'] if tested else [])]
    return _table(('method', 'seeds', *heads, *columns, 'clicks', 'hours'), rows)


def _seeds(entry: Entry) -> str:
    """How many seeds are stored, and of how many where some are not."""
    there, left = len(entry.cells), len(entry.missing) + len(entry.foreign)
    if not there:
        return 'missing'
    return f'{there} of {there + left}' if left else str(there)


def _round_heads(study: Study, entries: Sequence[Entry]) -> list[str]:
    """What was paid before each round where that is alike for all methods, else its number."""
    groups = _groups(study, entries)
    costs = [np.mean([c.x[: _rounds(m)] for c in m], axis=0) for m in groups.values()]
    heads = []
    for number in range(max(map(len, costs), default=1)):
        at = np.array([c[number] for c in costs if len(c) > number])
        alike = len(at) > 0 and np.ptp(at) <= ALIKE * abs(at.mean())
        unit = ' %' if study.axis == PERCENT else ''
        heads.append(f'{_short(float(at.mean()))}{unit}' if alike else f'round {number}')
    return heads


def _round_cells(entry: Entry, n: int) -> list[str]:
    """Mean and deviation per round; of a floor or ceiling the last one, in the last column."""
    if not entry.cells:
        return [''] * n
    mean, spread = mean_and_std(entry.curves('labels'))
    texts = [_value(m, s) for m, s in zip(mean, spread)]
    if entry.kind != METHOD:
        return [''] * (n - 1) + texts[-1:]
    return texts + [''] * (n - len(texts))


def _difference_cells(found: Difference | None, tested: bool) -> list[str]:
    if found is None or math.isnan(found.interval.mean):
        return [''] * (1 + tested)
    i = found.interval
    digits = 2 if max(abs(i.mean), abs(i.low), abs(i.high)) >= 0.5 else 3
    text = _signed(i.mean, digits)
    if math.isfinite(i.low):
        text += f' [{_signed(i.low, digits)}, {_signed(i.high, digits)}]'
    return [text, *([f'{found.p:.2g}' if math.isfinite(found.p) else ''] if tested else [])]


def _costs(entry: Entry) -> tuple[str, str]:
    """Clicks and hours of annotation before the last round, mean over seeds."""
    if not entry.cells:
        return '', ''
    paid = [cell['rounds'][-1]['labelled'] for cell in entry.cells]
    clicks = float(np.mean([p['clicks'] for p in paid]))
    hours = float(np.mean([p['seconds'] for p in paid])) / 3600
    return f'{clicks:,.0f}', f'{hours:.1f}' if hours >= 1 else f'{hours:.2f}'


def _tests_note(study: Study, entries: Sequence[Entry]) -> str:
    pairs = [d.interval.n for d in differences(study, entries, study.baseline)]
    return rank_tests_note(max(pairs)) if pairs else ''


def _shares_section(study: Study, entries: Sequence[Entry]) -> str:
    """The table of shares, '' without a ceiling."""
    if math.isnan(level_of(entries, CEILING)):
        return ''
    ceiling = next(iter(study.ceilings))
    floor = f'{next(iter(study.floor))}' if study.floor else "each method's round 0"
    heads = _round_heads(study, entries)
    rows = []
    for entry in entries_of(entries, METHOD):
        of_ceiling, of_gap = shares_of(entries, entry)
        texts = [_share(c, g) for c, g in zip(of_ceiling, of_gap)]
        rows.append((entry.label, *texts, *[''] * (len(heads) - len(texts))))
    text = (
        f'Share of the ceiling ({ceiling}) that the mean over seeds has, and in brackets the share '
        f'of the way from the floor ({floor}) to the ceiling:'
    )
    return f'## Shares of the ceiling\n\n{_wrapped(text)}\n\n{_table(("method", *heads), rows)}'


def _runs_section(study: Study, entries: Sequence[Entry]) -> str:
    there, planned = _count(entries)
    lines = [f'{there} of {planned} runs are stored in [cells/{study.name}](cells/{study.name}).']
    lines += provenance(cell for entry in entries for cell in entry.cells)
    missing = missing_runs(entries)
    if missing:
        lines.append('Missing:\n\n' + '\n'.join(f'- {line}' for line in missing))
    lines.append(f'Make what is missing, and this page:\n\n```\n{command(study)}\n```')
    lines.append(f'The same runs by hand:\n\n```\n{by_hand(study)}\n```')
    return '## Runs\n\n' + '\n\n'.join(lines)


def provenance(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Says with what, from which commit and when runs were made, one line for each that differs."""
    made: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        versions = [f'{k} {v}' for k, v in sorted((cell.get('versions') or {}).items())]
        threads = cell.get('threads')
        if threads:
            versions.append(f'{threads} thread' + 's' * (threads > 1))
        if cell.get('device'):
            versions.append(cell['device'])
        commit = cell.get('commit')
        versions.append(f'commit {commit}' if commit else 'commit not recorded')
        made.setdefault(', '.join(versions), []).append(cell)
    lines = []
    for versions_text, members in made.items():
        days = sorted({str(c['finished'])[:10] for c in members if c.get('finished')})
        when = f', finished {" to ".join(dict.fromkeys((days[0], days[-1])))}' if days else ''
        plural = 's' if len(members) > 1 else ''
        lines.append(f'{len(members)} run{plural} with {versions_text}{when}.')
    return lines


def command(study: Study) -> str:
    """The command that makes what is missing of a study."""
    return f'tools/make_results.py --run {study.name}'


def by_hand(study: Study) -> str:
    """Calls of `tools/al_compare.py` that make the same runs."""
    seeds = ' '.join(map(str, study.seeds))
    common = [
        f'--seeds {seeds}',
        f'--work-dir work_dirs/studies/{study.name}',
        f'--cells docs/results/cells/{study.name}',
    ]
    groups = [list(study.methods.values())]
    groups += [[config] for kind, _, config in study.parts if kind != METHOD]
    return '\n'.join(' \\\n  '.join(['tools/al_compare.py', *g, *common]) for g in groups)


def _groups(study: Study, entries: Sequence[Entry]) -> dict[str, list]:
    return {
        e.label: e.curves(study.axis, study.per, study.axis_label)
        for e in entries_of(entries, METHOD)
    }


def _rounds(curves: Sequence) -> int:
    return min(len(c.x) for c in curves)


def _count(entries: Sequence[Entry]) -> tuple[int, int]:
    there = sum(len(e.cells) for e in entries)
    return there, there + sum(len(e.missing) + len(e.foreign) for e in entries)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _wrapped(text: str, indent: str = '') -> str:
    """Lines of at most 100 characters; hyphens and addresses stay whole."""
    words = ' '.join(text.split())
    return textwrap.fill(
        words, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _value(mean: float, spread: float) -> str:
    digits = 1 if abs(mean) > 1 else 3
    text = f'{mean:.{digits}f}'
    return text if math.isnan(spread) else f'{text} ± {spread:.{digits}f}'


def _share(of_ceiling: float, of_gap: float) -> str:
    gap = '' if math.isnan(of_gap) else f' ({_percent(of_gap, 0)})'
    return f'{_percent(of_ceiling, 0)}{gap}'


def _percent(value: float, digits: int = 1) -> str:
    rounded = round(100 * value, digits) + 0.0  # no minus before a zero
    text = f'{rounded:.{digits}f}'.replace('-', '−')
    return f'{text.removesuffix("." + "0" * digits)} %'


def _signed(value: float, digits: int) -> str:
    return f'{value:+.{digits}f}'.replace('-', '−')


def _short(value: float) -> str:
    return f'{value:.3g}' if value < 1000 else f'{value:,.0f}'
