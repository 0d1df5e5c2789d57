"""Which annotated labels of a data set make up which classes."""

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dense_al.registry import nearest

IGNORE = 255
FOLDER = Path(__file__).parent / 'label_maps'
_GOLDEN_ANGLE = 0.618034
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Annotated labels as classes to train on.

    Attributes:
        classes: Names, in the order of the class indices.
        palette: Red, green, blue of each class, 0 to 255.
        names: Annotated label -> name.
        class_of: Annotated label -> class index, or `IGNORE`.
        splits: Name of a split -> numbers of its sequences.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    names: dict[int, str]
    class_of: dict[int, int]
    splits: dict[str, tuple[int, ...]]

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.full(1 << 16, _UNKNOWN, np.int16)
        table[list(self.class_of)] = list(self.class_of.values())
        return table

    def apply(self, labels: np.ndarray) -> np.ndarray:
        """The class of each annotated label.

        Args:
            labels: (N,) integers from 0 to 65535.

        Returns:
            (N,) uint8, `IGNORE` where a label belongs to no class.

        Raises:
            ValueError: Labels that the map does not have.
        """
        classes = self._table[labels]
        unknown = classes == _UNKNOWN
        if unknown.any():
            found = np.unique(labels[unknown])
            known = ', '.join(str(label) for label in sorted(self.class_of))
            raise ValueError(
                f'Expected labels of the label map ({known}), '
                f'but got {found[:5].tolist()} at {int(unknown.sum())} points'
            )
        return classes.astype(np.uint8)

    def ignoring(self, labels: Iterable[int]) -> 'LabelMap':
        """The same classes, but these annotated labels belong to none.

        Raises:
            ValueError: A label that the map does not have.
        """
        dropped = set(labels)
        unknown = sorted(dropped - set(self.class_of))
        if unknown:
            raise ValueError(f'Expected labels of the label map, but got {unknown}')
        kept = {k: IGNORE if k in dropped else v for k, v in self.class_of.items()}
        return replace(self, class_of=kept)


def read_label_map(source: str | Path) -> LabelMap:
    """Reads a label map in the YAML format of SemanticKITTI's tools.

    `labels` names the annotated labels and `learning_map` groups them. Groups are the classes, in
    the order of their numbers, but those that `learning_ignore` marks (group 0 where there is no
    such entry). They are named by `learning_names`, else by the label in `learning_map_inv`.
    `color_map` (blue, green, red per label) and `split` may be missing.

    Args:
        source: `semantic_kitti`, `nuscenes`, or a file.

    Raises:
        FileNotFoundError: There is neither such a map nor such a file.
        ValueError: The file lacks an entry, or entries do not fit together.
    """
    path = _path_of(source)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise ValueError(f'Expected YAML, but could not read {path}: {error}') from error
    for key in ('labels', 'learning_map'):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise ValueError(f'Expected numbers with values as `{key}` in {path}, but got none')
    names = {int(k): str(v) for k, v in content['labels'].items()}
    groups = _checked_groups(content['learning_map'], names, path)
    ignored = content.get('learning_ignore', {0: True})
    kept = sorted(set(groups.values()) - {k for k, v in ignored.items() if v})
    if not 0 < len(kept) <= IGNORE:
        raise ValueError(f'Expected 1 to {IGNORE} classes in {path}, but got {len(kept)}')
    index = {group: i for i, group in enumerate(kept)}
    return LabelMap(
        classes=_class_names(content, names, kept, path),
        palette=_palette(content, groups, kept),
        names=names,
        class_of={label: index.get(group, IGNORE) for label, group in groups.items()},
        splits={str(k): tuple(map(int, v)) for k, v in content.get('split', {}).items()},
    )


def label_map_text(label_map: LabelMap) -> str:
    """A label map in the YAML that `read_label_map` reads, without its splits."""
    group_of = {k: 0 if v == IGNORE else v + 1 for k, v in label_map.class_of.items()}
    colours = [(0, 0, 0), *label_map.palette]
    inverse = {group: label for label, group in sorted(group_of.items(), reverse=True)}
    content: dict[str, Any] = {
        'labels': label_map.names,
        'color_map': {label: list(colours[group][::-1]) for label, group in group_of.items()},
        'learning_map': group_of,
        'learning_map_inv': inverse,
        'learning_names': dict(enumerate(['ignored', *label_map.classes])),
        'learning_ignore': {group: group == 0 for group in range(len(colours))},
    }
    return yaml.safe_dump(content, default_flow_style=None)


def with_unlabelled(label_map: LabelMap) -> tuple[LabelMap, int]:
    """A label map with a label that belongs to no class, and the lowest such label."""
    ignored = [label for label, number in label_map.class_of.items() if number == IGNORE]
    if ignored:
        return label_map, min(ignored)
    free = next(label for label in range(1 << 16) if label not in label_map.class_of)
    names = {**label_map.names, free: 'unlabelled'}
    class_of = {**label_map.class_of, free: IGNORE}
    return replace(label_map, names=names, class_of=class_of), free


def _path_of(source: str | Path) -> Path:
    for path in (FOLDER / f'{source}.yaml', Path(source)):
        if path.is_file():
            return path
    near = nearest(str(source), (path.stem for path in FOLDER.glob('*.yaml')))
    raise FileNotFoundError(f'Expected a label map or its file, but got `{source}`. {near}')


def _checked_groups(
    learning_map: Mapping[Any, Any], names: Mapping[int, str], path: Path
) -> dict[int, int]:
    """Annotated label -> group, if all labels are in both and fit into 16 bits."""
    groups = {int(k): int(v) for k, v in learning_map.items()}
    single = sorted(set(groups) ^ set(names))
    if single:
        raise ValueError(
            f'Expected the same labels in `labels` and `learning_map` of {path}, '
            f'but got {single} in one of them'
        )
    wrong = [label for label in groups if not 0 <= label < 1 << 16]
    if wrong:
        raise ValueError(f'Expected labels from 0 to 65535 in {path}, but got {wrong}')
    return groups


def _class_names(
    content: Mapping[str, Any], names: Mapping[int, str], kept: list[int], path: Path
) -> tuple[str, ...]:
    found = {k: names.get(v) for k, v in content.get('learning_map_inv', {}).items()}
    found.update(content.get('learning_names', {}))
    nameless = [group for group in kept if not found.get(group)]
    if nameless:
        raise ValueError(
            f'Expected a name of each class in `learning_names` or a label of it in '
            f'`learning_map_inv` of {path}, but got none for {nameless}'
        )
    return tuple(str(found[group]) for group in kept)


def _palette(
    content: Mapping[str, Any], groups: Mapping[int, int], kept: list[int]
) -> tuple[tuple[int, int, int], ...]:
    """Colours of the labels that stand for the classes, else hues far from each other."""
    colors, inverse = content.get('color_map', {}), content.get('learning_map_inv', {})
    palette = []
    for i, group in enumerate(kept):
        label = inverse.get(group, min(k for k, v in groups.items() if v == group))
        if label in colors:
            blue, green, red = colors[label]
        else:
            rgb = colorsys.hsv_to_rgb(i * _GOLDEN_ANGLE % 1, 0.65, 0.95 - 0.15 * (i % 3))
            red, green, blue = (round(255 * part) for part in rgb)
        palette.append((int(red), int(green), int(blue)))
    return tuple(palette)
