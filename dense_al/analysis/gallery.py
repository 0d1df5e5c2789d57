"""Pictures of what was asked, what was answered and what the model thought."""

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from dense_al.analysis.boxes import render_boxes
from dense_al.analysis.drawing import UNASKED, decode_answers, render
from dense_al.analysis.naming import units_name
from dense_al.analysis.points import AskedPoint, render_points
from dense_al.analysis.runs import Round, Run
from dense_al.analysis.scan_pictures import asked_colours, read_points, render_scan, show_scan
from dense_al.engine import RunStore
from dense_al.engine.reopen import units_of
from dense_al.pool import InstanceStore
from dense_al.regions import read_image
from dense_al.structures import (
    IGNORE,
    MODEL,
    UNSURE,
    Answer,
    Boxes,
    InstancePrediction,
    Instances,
    Pixels,
    Tags,
    answers_of_table,
)

RegionMap = Callable[[int], 'np.ndarray | None']
Prediction = Callable[[int, int], 'np.ndarray | Boxes | InstancePrediction | None']


@dataclass(frozen=True, eq=False)
class Panel:
    """One sample of a round's query.

    Attributes:
        sample: Its index in the manifest.
        name: Its name.
        units: Units asked for in it.
        best_rank: Rank of the best of them, 1 = asked first.
        best_score: Score of that unit.
        pictures: Title -> (H, W, 3) uint8, all of one size.
        note: What no picture shows: tags, or what could not be drawn and why; '' for nothing.
    """

    sample: int
    name: str
    units: int
    best_rank: int
    best_score: float
    pictures: dict[str, np.ndarray]
    note: str = ''


def round_panels(
    run: Run,
    number: int,
    region_map: RegionMap | None = None,
    prediction: Prediction | None = None,
    *,
    max_images: int = 6,
    side: int = 480,
) -> list[Panel]:
    """Draws the samples of a round's query, those with the best units first.

    Args:
        run: The run.
        number: Number of the round, -1 for the initial labels.
        region_map: Sample -> (H, W) int unit of each pixel, None where it has none. Not needed
            for whole images.
        prediction: Round, sample -> (H, W) uint8 classes, or None.
        max_images: Number of samples at most.
        side: Longer side of the pictures, pixels.

    Returns:
        One panel per sample; what cannot be drawn says so in its note.
    """
    rounds = {r.index: r for r in run.all_rounds}
    if number not in rounds:
        raise ValueError(f'Expected a round among {sorted(rounds)} of {run.work_dir}, '
                         f'but got {number}')  # fmt: skip
    query = rounds[number].query_table()
    if query is None:
        return []
    samples = query['sample'].to_numpy()
    _, first = np.unique(samples, return_index=True)
    answers = _answers_by_sample(rounds[number], samples[np.sort(first)[:max_images]])
    return [
        _panel(run, rounds[number], query, int(at), answers, region_map, prediction, side)
        for at in np.sort(first)[:max_images]
    ]


def write_panels(
    run: Run,
    number: int,
    out: Path | str,
    region_map: RegionMap | None = None,
    prediction: Prediction | None = None,
    *,
    max_images: int = 20,
    side: int = 640,
) -> list[Path]:
    """Writes a round's panels as PNG files, pictures side by side; arguments as `round_panels`.

    Args:
        out: Folder to write into, made where it is absent.

    Returns:
        The files, named by round, rank and sample.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for panel in round_panels(
        run, number, region_map, prediction, max_images=max_images, side=side
    ):
        if panel.pictures:
            name = re.sub(r'[^\w.-]+', '_', str(Path(panel.name).with_suffix('')))
            what = 'initial' if number < 0 else f'round{number:03d}'
            path = folder / f'{what}_rank{panel.best_rank:05d}_{name}.png'
            Image.fromarray(np.concatenate(list(panel.pictures.values()), axis=1)).save(path)
            paths.append(path)
    return paths


def show_best(run: Run, number: int, region_map: RegionMap | None) -> None:
    """Opens a window with the scan of a round's best unit, what was asked of it in yellow.

    Raises:
        ValueError: Not a run on scans, nothing asked, no regions at hand, no display, or no open3d.
    """
    rounds = {r.index: r for r in run.all_rounds}
    query = rounds[number].query_table()
    columns = run.environment.get('scan_columns')
    if not columns or query is None or not len(query):
        raise ValueError(f'Expected a run on scans with a query in round {number} to show in 3-D')
    sample = query['sample'][0].as_py()
    points = read_points(run.manifest.paths[sample], int(columns))
    asked = np.ones(len(points), bool)
    if (rounds[number].query or {}).get('kind') != 'image':
        regions = None if region_map is None else region_map(sample)
        if regions is None:
            raise ValueError(
                f'Expected the regions of `{run.manifest.names[sample]}` to show in 3-D what was '
                'asked of it, but got none'
            )
        units = query['unit'].to_numpy()[query['sample'].to_numpy() == sample]
        asked = np.isin(regions, units).ravel()
    show_scan(points, asked_colours(points, asked), run.manifest.names[sample])


def region_maps_of(work_dir: Path | str) -> RegionMap | None:
    """Finds the region maps of a run through the parameters it recorded.

    Args:
        work_dir: Folder of the run.

    Returns:
        Sample -> (H, W) int, or None where the run recorded no regions.
    """
    store = RunStore(work_dir)
    if not store.environment().get('regions'):
        return None
    units: list[Any] = []

    def region_map(sample: int) -> np.ndarray:
        if not units:  # what it takes may be gone, which spoils only what cannot do without
            units.append(units_of(store))
        found: np.ndarray = units[0].map(sample)
        return found

    return region_map


def _panel(
    run: Run,
    round_: Round,
    query: pa.Table,
    row: int,
    answers: dict[int, dict[str, list[Any]]],
    region_map: RegionMap | None,
    prediction: Prediction | None,
    side: int,
) -> Panel:
    """Draws the sample of one row of a query (its best one)."""
    sample = query['sample'][row].as_py()
    asked = query['unit'].to_numpy()[query['sample'].to_numpy() == sample]
    pictures: dict[str, np.ndarray] = {}
    predicted, said = _predicted(prediction, round_.index, sample)
    try:
        given = answers.get(sample)
        pictures, note = _pictures(run, round_, sample, asked, given, region_map, predicted, side)
    except (OSError, ValueError, zlib.error) as error:
        note = f'Cannot be drawn: {error}'
    note = ' '.join(filter(None, (note, said)))
    return Panel(
        sample=sample,
        name=run.manifest.names[sample],
        units=len(asked),
        best_rank=row + 1,
        best_score=query['score'][row].as_py(),
        pictures=pictures,
        note=note,
    )


def _predicted(
    prediction: Prediction | None, number: int, sample: int
) -> tuple['np.ndarray | Boxes | InstancePrediction | None', str]:
    """What the model says of a sample, and why it says nothing."""
    try:
        return None if prediction is None else prediction(number, sample), ''
    except Exception as error:  # models fail in any way, which is no reason to show nothing
        return None, f'No prediction: {type(error).__name__}: {error}'


def _pictures(
    run: Run,
    round_: Round,
    sample: int,
    asked: np.ndarray,
    given: dict[str, list[Any]] | None,
    region_map: RegionMap | None,
    predicted: 'np.ndarray | Boxes | InstancePrediction | None',
    side: int,
) -> tuple[dict[str, np.ndarray], str]:
    """The pictures of one sample, and what could not be drawn."""
    if run.environment.get('scan_columns'):
        shown = predicted if isinstance(predicted, np.ndarray) else None
        return _scan_pictures(run, round_, sample, asked, given, region_map, shown, side)
    image = read_image(run.manifest.paths[sample])
    payload = given['payload'][-1] if given and given['payload'] else b''
    if (drawn := _objects(run, round_, sample, image, predicted, side)) is not None:
        return drawn, ''
    kind = str((round_.query or {}).get('kind', ''))
    if isinstance(predicted, Boxes) or Boxes.is_in(payload) or kind == 'tags':
        answered = Boxes.decode(payload) if Boxes.is_in(payload) else None
        found = predicted if isinstance(predicted, Boxes) else None
        drawn = render_boxes(
            image, answered, found, colours=run.colours, classes=run.classes, side=side
        )
        return drawn, _tags_said(payload, run.classes)
    note, units, labels = '', None, None
    if kind == 'point':
        units, labels = _points(image.shape[:2], asked, given)
    elif kind == 'image':
        # A whole image is one unit, whatever its id.
        units = np.zeros(image.shape[:2], np.int64)
        labels = _labels(units, given, whole=True)
    elif region_map is not None and (regions := region_map(sample)) is not None:
        units = np.where(np.isin(regions, asked), regions, UNASKED)
        labels = _labels(regions, given)
    else:
        note = f'The outlines of its {units_name(kind)} are not at hand.'
    shown = predicted if isinstance(predicted, np.ndarray) else None
    return render(image, units, labels, shown, colours=run.colours, side=side), note


def _tags_said(payload: bytes, classes: Sequence[str]) -> str:
    """The tags of an answer in words, '' for another one."""
    if not Tags.is_in(payload):
        return ''
    return f'Tags: {", ".join(classes[c] for c in Tags.decode(payload).labels) or "none"}.'


def _scan_pictures(
    run: Run,
    round_: Round,
    sample: int,
    asked: np.ndarray,
    given: dict[str, list[Any]] | None,
    region_map: RegionMap | None,
    predicted: np.ndarray | None,
    side: int,
) -> tuple[dict[str, np.ndarray], str]:
    """The pictures of one scan, and what could not be drawn."""
    path, columns = run.manifest.paths[sample], int(run.environment['scan_columns'])
    points = read_points(path, columns)
    whole = (round_.query or {}).get('kind') == 'image'
    regions = np.zeros(len(points), np.int64) if whole else None
    if not whole and region_map is not None and (found := region_map(sample)) is not None:
        regions = found.ravel()
    note, units, labels, by_model = '', None, None, None
    if regions is None:
        note = 'The outlines of its regions are not at hand.'
    else:
        units = np.isin(regions, 0 if whole else asked)
        labels = _labels(regions, given, whole=whole)
        by_model = np.isin(regions, _pseudo_units(round_, sample))
    drawn = render_scan(
        points, units, labels, None if predicted is None else predicted.ravel(), by_model,
        colours=run.colours, side=side,
    )  # fmt: skip
    return drawn, note


def _pseudo_units(round_: Round, sample: int) -> list[int]:
    """Units of a sample that the model labelled itself."""
    table = round_.pseudo_table()
    if table is None:
        return []
    return table.filter(pa.array(table['sample'].to_numpy() == sample))['unit'].to_pylist()


def _objects(
    run: Run,
    round_: Round,
    sample: int,
    image: np.ndarray,
    predicted: 'np.ndarray | Boxes | InstancePrediction | None',
    side: int,
) -> dict[str, np.ndarray] | None:
    """Pictures of a sample whose objects are asked for points; None for any other."""
    paid = [a for r in run.all_rounds if r.index < round_.index for a in _answers_of(r, sample)]
    new = _answers_of(round_, sample)
    store = InstanceStore([*paid, *new], run.manifest.widths)
    objects = store.boxes(sample)
    if not isinstance(objects, Instances) or not objects.leaves_masks:
        return None
    width = int(run.manifest.widths[sample])
    # Points that came with the boxes are as new as these are.
    now = {a.unit for a in new if a.kind == 'point'}
    drawn = bool(new) and not now
    points = [
        AskedPoint(int(x), int(y), int(v), drawn or int(y) * width + int(x) in now)
        for where, labels in store.points(sample)
        for (x, y), v in zip(where, labels)
    ]
    query = round_.query_table()
    if not new and query is not None and (round_.query or {}).get('kind') == 'point':
        # Nobody has answered yet.
        asked = query['unit'].to_numpy()[query['sample'].to_numpy() == sample]
        points += [AskedPoint(int(u) % width, int(u) // width, UNSURE, True) for u in asked]
    maps = predicted if isinstance(predicted, InstancePrediction) else None
    return render_points(
        image, objects, points, maps, colours=run.colours, classes=run.classes, side=side
    )


def _answers_of(round_: Round, sample: int) -> list[Answer]:
    table = round_.answers_table()
    if table is None:
        return []
    return answers_of_table(table.filter(pa.array(table['sample'].to_numpy() == sample)))


def _labels(
    regions: np.ndarray, answers: dict[str, list[Any]] | None, whole: bool = False
) -> np.ndarray | None:
    if answers is None:
        return None
    given = [i for i, payload in enumerate(answers['payload']) if payload]
    units = [0 if whole else answers['unit'][i] for i in given]
    return decode_answers(regions, units, [answers['payload'][i] for i in given])


def _points(
    size: tuple[int, int], asked: np.ndarray, answers: dict[str, list[Any]] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (unit = y * width + x) as squares that are large enough to be seen."""
    units = np.full(size, UNASKED, np.int64)
    labels = None if answers is None else np.full(size, IGNORE, np.uint8)
    radius = max(max(size) // 80, 1)
    given = {} if answers is None else dict(zip(answers['unit'], answers['payload']))
    for unit in asked.tolist():
        y, x = divmod(unit, size[1])
        square = np.s_[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        units[square] = unit
        if labels is not None and given.get(unit):
            labels[square] = Pixels.decode(given[unit]).labels[0]
    return units, labels


def _answers_by_sample(round_: Round, samples: Iterable[int]) -> dict[int, dict[str, list[Any]]]:
    table = round_.answers_table()
    if table is None:
        return {}
    own = [source != MODEL for source in table['source'].to_pylist()]
    table = table.filter(pa.array(own, pa.bool_()))  # the type of no answers at all is unknown
    of_sample = table['sample'].to_numpy()
    columns = table.select(['unit', 'payload'])
    return {int(s): columns.filter(pa.array(of_sample == s)).to_pydict() for s in samples}
