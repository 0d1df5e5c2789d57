"""The images of a data set, under the names that mmdet and published proposals know them by."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dense_al.regions.images import image_size
from dense_al.registry import nearest

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
VOC_SETS = ('trainval', 'test')
PathLike = str | os.PathLike[str]


class ListedImage(NamedTuple):
    """One image of a data set.

    Attributes:
        path: Its file.
        indexes: Numbers or names under which published proposals may hold it, likeliest first.
        known_size: Height and width in pixels; None where only the file tells.
    """

    path: Path
    indexes: tuple[int | str, ...] = ()
    known_size: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """'folder/file', as mmdet looks proposals up."""
        return f'{self.path.parent.name}/{self.path.name}'

    def size(self) -> tuple[int, int]:
        """Height and width in pixels, from the file's header where they were not given."""
        return self.known_size or image_size(self.path)


def list_images(
    source: PathLike, *, sets: Sequence[str] = (), folder: PathLike | None = None
) -> dict[str, list[ListedImage]]:
    """The images that need one file of proposals each.

    Args:
        source: A COCO file (.json), a VOC folder (with `ImageSets/Main`), or a folder of images
            or of folders of images.
        sets: VOC image sets; by default those of `trainval` and `test` that are there.
        folder: Where the images of a COCO file lie; by default as in COCO: `images/X` or `X`
            beside `annotations/instances_X.json`.

    Returns:
        Name of the set, or of the folder -> images. Sorted by name within a folder, else as
        listed.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: No image, two of one key, or what else is not as described.
    """
    source = Path(os.path.abspath(source))
    if source.suffix == '.json':
        found = {_split_of(source): coco_images(source, folder)}
    elif (source / 'ImageSets' / 'Main').is_dir():
        known = [p.stem for p in sorted((source / 'ImageSets' / 'Main').glob('*.txt'))]
        wanted = list(sets) or [name for name in VOC_SETS if name in known]
        if not wanted:
            raise ValueError(f'Expected one of the image sets {VOC_SETS} in {source}, '
                             f'but got {known}')  # fmt: skip
        found = {name: voc_images(source, name) for name in wanted}
    else:
        found = folder_images(source)
    for name, images in found.items():
        check_keys_differ(images, f'{name or source}')
    return found


def coco_images(path: PathLike, folder: PathLike | None = None) -> list[ListedImage]:
    """The images of a COCO file, in the order of their ids, as mmdet's CocoDataset lists them.

    Args:
        path: The file; `id` and `file_name` of its images are read, `height` and `width` too
            where there.
        folder: Where the images lie; see `list_images`.

    Raises:
        FileNotFoundError: There is no such file, or no folder at the usual place.
        ValueError: No COCO file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'Expected a COCO file at {path}, but got no such file')
    content = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f'Expected a COCO file with the list `images` at {path}')
    place = Path(folder) if folder is not None else _usual_folder(path)
    found = []
    for image in sorted(content['images'], key=lambda image: image['id']):
        size = (int(image['height']), int(image['width'])) if 'height' in image else None
        found.append(ListedImage(place / image['file_name'], (image['id'],), size))
    return found


def _split_of(path: Path) -> str:
    return path.stem.removeprefix('instances_')


def _usual_folder(path: Path) -> Path:
    """The folder of the images of `annotations/instances_X.json`."""
    root, name = path.parent.parent, _split_of(path)
    places = [root / name, root / 'images' / name]
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(
        f'Expected the images of {path} in {places[0]} or {places[1]}, but got neither. '
        'Name their folder'
    )


def voc_images(root: PathLike, image_set: str) -> list[ListedImage]:
    """The images of a set of a VOC folder, in its order.

    Published proposals number an image by the digits of its name: 5 for `000005`, 2008000002 for
    `2008_000002`, in wetectron's file of VOC 2012 `test` only 2 for the latter.

    Args:
        root: Such as `VOCdevkit/VOC2007`.
        image_set: Name of a file in `ImageSets/Main`, without suffix.

    Raises:
        FileNotFoundError: There is no such set.
    """
    folder = Path(root) / 'ImageSets' / 'Main'
    path = folder / f'{image_set}.txt'
    if not path.is_file():
        known = [p.stem for p in folder.glob('*.txt')]
        raise FileNotFoundError(f'Expected the image set {path}. {nearest(image_set, known)}')
    found = []
    for line in path.read_text(encoding='utf-8').splitlines():
        if line.strip():
            name = line.split()[0]
            place = Path(root) / 'JPEGImages' / f'{name}.jpg'
            found.append(ListedImage(place, _voc_indexes(name, image_set)))
    return found


def _voc_indexes(name: str, image_set: str) -> tuple[int | str, ...]:
    indexes: list[int | str] = [name]
    digits = name.replace('_', '')
    if digits.isdigit():
        indexes.append(int(digits))
        if '_' in name and image_set == 'test':
            indexes.append(int(name.split('_')[1]))
    return tuple(indexes)


def folder_images(root: PathLike) -> dict[str, list[ListedImage]]:
    """The images of a folder, or of each of its folders where it holds no image itself.

    Args:
        root: The folder.

    Returns:
        '' -> its images, or name of the inner folder -> images there; sorted by name.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No image.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise FileNotFoundError(f'Expected a folder of images at {root}, but got no such folder')
    own = _images_in(root)
    if own:
        return {'': own}
    found = {p.name: _images_in(p) for p in sorted(root.iterdir()) if p.is_dir()}
    found = {name: images for name, images in found.items() if images}
    if not found:
        raise ValueError(f'Expected images in {root} or in its folders, but got none')
    return found


def _images_in(folder: Path) -> list[ListedImage]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    return [ListedImage(p, (p.name, p.stem)) for p in files]


def check_keys_differ(images: Iterable[ListedImage], where: str) -> None:
    """Raises `ValueError` where mmdet could not tell two images apart, or without any image."""
    seen: dict[str, Path] = {}
    for image in images:
        other = seen.setdefault(image.key, image.path)
        if other != image.path:
            raise ValueError(
                f'Expected different folders or names, but got {other} and {image.path}, '
                f'which mmdet both looks up as {image.key}'
            )
    if not seen:
        raise ValueError(f'Expected images in {where}, but got none')
