"""Studies as files: what is compared, what was claimed, and which of its runs are stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from dense_al.analysis.cells import cell_file, curve_of_cell, read_cell
from dense_al.analysis.curves import AXES, Curve
from dense_al.registry import nearest

METHOD, FLOOR, CEILING = 'method', 'floor', 'ceiling'
PERCENT = 'percent'


@dataclass(frozen=True)
class Claim:
    """A published claim of the kind "95 % of full supervision with 5 % of the labels".

    Attributes:
        text: The claim and who made it, in markdown.
        share: Share of the first ceiling's metric that is claimed, in (0, 1].
        at: Share of the pool's labels it is claimed for, in (0, 1].
        methods: Labels of the study's methods that it is about.
    """

    text: str
    share: float
    at: float
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """One comparison of methods over seeds.

    Attributes:
        name: Name of its file, of its page and of its folder of stored curves.
        title: Heading of its page.
        world: What the data are and how long is trained, one paragraph of markdown.
        methods: Label -> config file, relative to the repository; the first is the baseline.
        seeds: Seeds of each of them, of floor and of ceilings.
        axis: What curves run over: a key of `AXES`, or `percent` of the pool's labels.
        floor: Label -> config of a model without what is asked for; one at most.
        ceilings: Label -> config of models with all labels; shares are those of the first.
        claim: What was published, None for nothing comparable.
        against: Labels of further methods that the others are compared with, beside the baseline.
        per: How much of the axis makes one unit of `axis_label`.
        axis_label: Name of the axis in table and picture, '' for the usual one.
        findings: Why it came out so, in markdown, written by hand.
        earlier: Link to an earlier measurement, shown as long as no run is stored.
    """

    name: str
    title: str
    world: str
    methods: Mapping[str, str]
    seeds: tuple[int, ...]
    axis: str
    floor: Mapping[str, str]
    ceilings: Mapping[str, str]
    claim: Claim | None = None
    against: tuple[str, ...] = ()
    per: float = 1.0
    axis_label: str = ''
    findings: str = ''
    earlier: str = ''

    @property
    def baseline(self) -> str:
        """Label of the method that others are compared with."""
        return next(iter(self.methods))

    @property
    def references(self) -> tuple[str, ...]:
        """Labels of all methods that others are compared with, the baseline first."""
        return (self.baseline, *self.against)

    @property
    def parts(self) -> list[tuple[str, str, str]]:
        """(`method`, `floor` or `ceiling`; label; config) of everything that is run."""
        kinds = ((METHOD, self.methods), (FLOOR, self.floor), (CEILING, self.ceilings))
        return [(kind, label, config) for kind, part in kinds for label, config in part.items()]

    @property
    def configs(self) -> list[str]:
        """All config files, the baseline first."""
        return [config for _, _, config in self.parts]


@dataclass(frozen=True)
class Entry:
    """The stored runs of one config of a study.

    Attributes:
        kind: `method`, `floor` or `ceiling`.
        label: What it is called.
        config: Its file.
        cells: Stored runs of this very config, in the order of the study's seeds.
        missing: Seeds without a stored run.
        foreign: Seeds whose stored run is of another config or other options; it is not used.
    """

    kind: str
    label: str
    config: str
    cells: tuple[Mapping[str, Any], ...] = ()
    missing: tuple[int, ...] = ()
    foreign: tuple[int, ...] = ()

    def curves(self, axis: str, per: float = 1.0, axis_label: str = '') -> list[Curve]:
        """The learning curves, `axis` and its unit as of a `Study`."""
        if axis == PERCENT:
            axis, per, axis_label = 'fraction', per / 100, axis_label or 'labelled (%)'
        found = [curve_of_cell(cell, axis) for cell in self.cells]
        return [
            replace(curve, x=curve.x / per, x_label=axis_label or curve.x_label) for curve in found
        ]


def read_study(path: Path | str) -> Study:
    """Reads the description of a study.

    Args:
        path: A YAML file with the fields of `Study`, but for its name; `claim` has those of
            `Claim`.

    Raises:
        ValueError: An unknown or missing field, an unknown axis, a claim about a method that is
            not compared or without a ceiling; the message names the file.
    """
    path = Path(path)
    try:
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise ValueError(f'Expected YAML in {path}, but got: {error}') from error
    known = [f.name for f in fields(Study) if f.name != 'name']
    _check_fields(content, known, ('title', 'world', 'methods', 'seeds', 'axis'), path)
    claim = content.pop('claim', None)
    if claim is not None:
        parts_of_claim = [f.name for f in fields(Claim)]
        _check_fields(claim, parts_of_claim, parts_of_claim, path)
        claim = Claim(**{**claim, 'methods': tuple(claim['methods'])})
    for key in ('floor', 'ceilings'):
        content[key] = content.get(key) or {}
    for key in ('seeds', 'against'):
        content[key] = tuple(content.get(key) or ())
    study = Study(name=path.stem, claim=claim, **content)
    _check(study, path)
    return study


def read_studies(folder: Path | str) -> list[Study]:
    """All studies that a folder describes, by the names of their files."""
    return [read_study(path) for path in sorted(Path(folder).glob('*.yaml'))]


def load_entries(study: Study, folder: Path, key_of: Callable[[str], str]) -> list[Entry]:
    """Finds the stored runs of a study.

    Args:
        study: The study.
        folder: Where the studies' folders of stored curves lie.
        key_of: Config file -> key that its stored runs must have, see `key_of_file`; asked only
            for configs of which a run is stored.

    Returns:
        One entry for each of `Study.parts`.
    """
    return [
        _load(kind, label, config, study.seeds, folder / study.name, key_of)
        for kind, label, config in study.parts
    ]


def entries_of(entries: Sequence[Entry], kind: str) -> Iterator[Entry]:
    """Those of one kind of which a run is stored."""
    return (entry for entry in entries if entry.kind == kind and entry.cells)


def missing_runs(entries: Sequence[Entry]) -> list[str]:
    """Says which runs are not stored, one line for each config and reason."""
    lines = []
    for entry in entries:
        name = f'{entry.label} ({Path(entry.config).stem})'
        for seeds, why in ((entry.missing, ''), (entry.foreign, ', stored of another config')):
            if seeds:
                plural = 's' if len(seeds) > 1 else ''
                lines.append(f'{name}: seed{plural} {", ".join(map(str, seeds))}{why}')
    return lines


def _load(
    kind: str,
    label: str,
    config: str,
    seeds: Sequence[int],
    folder: Path,
    key_of: Callable[[str], str],
) -> Entry:
    files = {seed: cell_file(folder, Path(config).stem, seed) for seed in seeds}
    there = [seed for seed in seeds if files[seed].is_file()]
    key = key_of(config) if there else None
    found = {seed: read_cell(files[seed], key) for seed in there}
    return Entry(
        kind=kind,
        label=label,
        config=config,
        cells=tuple(cell for cell in found.values() if cell is not None),
        missing=tuple(seed for seed in seeds if seed not in found),
        foreign=tuple(seed for seed in there if found[seed] is None),
    )


def _check_fields(content: Any, known: Sequence[str], needed: Sequence[str], path: Path) -> None:
    """Raises where a mapping has other fields than those known, or lacks one that is needed."""
    if not isinstance(content, dict):
        raise ValueError(f'Expected a mapping in {path}, but got {type(content).__name__}')
    for name in content:
        if name not in known:
            raise ValueError(f'Expected a field of a study in {path}, but got `{name}`. '
                             f'{nearest(str(name), known)}')  # fmt: skip
    for name in needed:
        if name not in content:
            raise ValueError(f'Expected the field `{name}` in {path}, but got {list(content)}')


def _check(study: Study, path: Path) -> None:
    """Raises where the fields of a study do not fit together."""
    axes = [*AXES, PERCENT]
    if study.axis not in axes:
        raise ValueError(f'Expected `axis` in {path} to be one of {", ".join(axes)}, but got '
                         f'`{study.axis}`. {nearest(study.axis, axes)}')  # fmt: skip
    if not study.methods or not study.seeds:
        raise ValueError(f'Expected a method and a seed in {path}, but got none')
    if len(study.floor) > 1:
        raise ValueError(f'Expected one floor at most in {path}, but got {list(study.floor)}')
    for what in ([label for _, label, _ in study.parts], [Path(c).stem for c in study.configs]):
        twice = sorted({name for name in what if what.count(name) > 1})
        if twice:
            raise ValueError(f'Expected different names in {path}, but got `{twice[0]}` twice')
    for method in study.against:
        if method not in study.methods or method == study.baseline:
            others = [m for m in study.methods if m != study.baseline]
            raise ValueError(f'Expected `against` in {path} to name methods but the first, but got '
                             f'`{method}`. {nearest(method, others)}')  # fmt: skip
    claim = study.claim
    if claim is None:
        return
    for method in claim.methods:
        if method not in study.methods:
            raise ValueError(f'Expected a claim about a method of {path}, but got `{method}`. '
                             f'{nearest(method, study.methods)}')  # fmt: skip
    if not study.ceilings or not claim.methods:
        raise ValueError(f'Expected a ceiling and a method for the claim in {path}, but got none')
    if not (0 < claim.share <= 1 and 0 < claim.at <= 1):
        raise ValueError(f'Expected shares in (0, 1] in the claim of {path}, but got '
                         f'{claim.share} at {claim.at}')  # fmt: skip
