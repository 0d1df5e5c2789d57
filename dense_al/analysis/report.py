"""One HTML page about one or many runs; it needs no network and no other file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dense_al.analysis import sections
from dense_al.analysis.curves import curve_of
from dense_al.analysis.drawing import data_address
from dense_al.analysis.gallery import Panel, Prediction, RegionMap, region_maps_of, round_panels
from dense_al.analysis.naming import units_name
from dense_al.analysis.runs import Run, group_runs, load_run
from dense_al.engine.reopen import find_runs


@dataclass(frozen=True)
class Gallery:
    """What the report shows of the queries.

    Attributes:
        rounds: Numbers of the rounds, -1 for the initial labels; None for all.
        max_images: Samples per round at most; 0 leaves the gallery out.
        side: Longer side of the pictures, pixels.
        region_maps: Work_dir -> (sample -> region map); by default what the run recorded.
        predictions: Work_dir -> (round, sample -> (H, W) uint8 classes or None); by default none
            are shown, since they need the model.
    """

    rounds: Sequence[int] | None = None
    max_images: int = 4
    side: int = 360
    region_maps: Callable[[Path], RegionMap | None] = region_maps_of
    predictions: Callable[[Path], Prediction | None] = lambda work_dir: None


def write_report(
    work_dirs: Sequence[Path | str],
    out: Path | str,
    full_supervision: float | None = None,
    gallery: Gallery | None = None,
    *,
    baseline: str | None = None,
) -> Path:
    """Writes one self-contained HTML page about runs.

    Args:
        work_dirs: Folders of runs, or folders that hold runs. Runs are grouped by method, over
            seeds; they may be unfinished.
        out: File to write.
        full_supervision: Metric of a model trained on all labels; by default the mean of the runs
            among these that are one round on all labels.
        gallery: What to show of the queries; by default four samples of each round.
        baseline: Method to compare with; by default the one with `random` in its name.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: A folder holds no runs.
        ValueError: Nothing was trained yet, the runs have different metrics, or the baseline is
            unknown.
    """
    runs = [load_run(p) for folder in work_dirs for p in find_runs(folder) or [Path(folder)]]
    trained = [run for run in runs if run.rounds]
    if not trained:
        raise ValueError(f'Expected a run with a trained round, but got none in '
                         f'{", ".join(str(w) for w in work_dirs) or "nothing"}')  # fmt: skip
    ceilings = [run for run in trained if run.is_ceiling]
    if 0 < len(ceilings) < len(trained):
        runs = [run for run in runs if not run.is_ceiling]
        trained = [run for run in trained if not run.is_ceiling]
        if full_supervision is None:
            full_supervision = float(np.mean([curve_of(run).y[-1] for run in ceilings]))
    groups = group_runs(trained)
    context = {
        **sections.head(runs, groups),
        **sections.comparison(
            groups, baseline or sections.default_baseline(groups), full_supervision
        ),
        'per_class': [sections.per_class(method, members) for method, members in groups.items()],
        'galleries': _galleries(groups, gallery or Gallery()),
        'histogram': sections.histogram(groups),
        'time': sections.time(groups),
        'configuration': [sections.configuration(m, run) for m, rs in groups.items() for run in rs],
    }
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_render(context), encoding='utf-8')
    return path


def _render(context: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader('dense_al.analysis', '.'),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        num=sections.number, signed=sections.signed, count=sections.count, units=units_name
    )
    return environment.get_template('report.html.j2').render(context)


def _galleries(groups: Mapping[str, Sequence[Run]], options: Gallery) -> list[dict[str, Any]]:
    """The queries of the first run of each method."""
    if options.max_images < 1:
        return []
    found = []
    for method, members in groups.items():
        run = members[0]
        region_map = options.region_maps(run.work_dir)
        prediction = options.predictions(run.work_dir)
        asked = [r for r in run.all_rounds if r.query]
        wanted = [r for r in asked if options.rounds is None or r.index in options.rounds]
        rounds = [
            {
                'title': 'Initial labels' if r.index < 0 else f'Round {r.index}',
                'units': (r.query or {}).get('n_units', 0),
                'kind': (r.query or {}).get('kind', ''),
                'cost': (r.done or {}).get('cost', {}),
                'declined': (r.done or {}).get('declined', 0),
                'panels': [
                    _panel(panel)
                    for panel in round_panels(
                        run,
                        r.index,
                        region_map,
                        prediction,
                        max_images=options.max_images,
                        side=options.side,
                    )
                ],
            }
            for r in wanted
        ]
        colours = [f'#{r:02x}{g:02x}{b:02x}' for r, g, b in run.colours[: len(run.classes)]]
        legend = list(zip(run.classes, colours))
        found.append(
            {
                'method': method,
                'seed': run.seed,
                'labelled': _labelled_samples(run),
                'rounds': rounds,
                'legend': legend,
            }
        )
    return found


def _labelled_samples(run: Run) -> dict[str, int]:
    """Level of label -> samples the last trained round had under it, where there are any."""
    train = run.rounds[-1].train or {}
    return {level: n for level, n in train.get('samples', {}).items() if n}


def _panel(panel: Panel) -> dict[str, Any]:
    """A panel for the template."""
    return {
        'name': panel.name,
        'units': panel.units,
        'rank': panel.best_rank,
        'score': panel.best_score,
        'note': panel.note,
        'pictures': {title: data_address(p) for title, p in panel.pictures.items()},
    }
