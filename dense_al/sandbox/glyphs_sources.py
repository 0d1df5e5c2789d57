"""Where the glyphs of the world `glyphs` come from: bundled digits, fonts, or IDX files."""

import functools
import gzip
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import zoom

DIGITS = tuple('0123456789')
LETTERS = tuple('ABCDEFGHIJKLMNOPQRSTUVWXYZ')
GLYPH_SOURCES = ('digits', 'letters', 'idx')
# The bundled digits come writer after writer, so the last ones are by hands train never shows.
TRAIN_DIGITS = 1200
UPSCALE = 6
FONT_SIZE = 64
# Each family of faces has members in both splits: val shows new glyphs, not a new alphabet.
# An empty name is the scalable face that Pillow brings along, the others lie within matplotlib.
FACES: dict[str, tuple[str, ...]] = {
    'train': (
        '',
        'DejaVuSans',
        'DejaVuSans-Bold',
        'DejaVuSansMono',
        'DejaVuSansMono-Oblique',
        'DejaVuSerif',
        'DejaVuSerif-Bold',
        'DejaVuSerif-BoldItalic',
        'STIXGeneralBol',
        'STIXGeneralItalic',
        'cmss10',
        'cmtt10',
        'cmb10',
    ),
    'val': (
        'DejaVuSans-Oblique',
        'DejaVuSans-BoldOblique',
        'DejaVuSansMono-Bold',
        'DejaVuSerif-Italic',
        'STIXGeneral',
        'STIXGeneralBolIta',
        'cmr10',
    ),
}


@dataclass(frozen=True, eq=False)
class Glyphs:
    """All glyphs a split may show.

    Attributes:
        images: (N, h, w) uint8, 0 = paper, 255 = ink.
        labels: (N,) int64, index into `classes`.
        classes: Names of the classes.
        members: One array of indices into `images` per class, none of them empty.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    members: tuple[np.ndarray, ...]


@functools.lru_cache(maxsize=4)
def load_glyphs(source: str, idx_root: str, split: str) -> Glyphs:
    """Loads the glyphs of a split; no glyph is in both splits.

    Args:
        source: One of `GLYPH_SOURCES`.
        idx_root: Folder of IDX files; read where `source` is `idx` only.
        split: `train` or `val`.

    Raises:
        ValueError: The folder does not hold what is needed, or a class has no glyph.
    """
    if source == 'digits':
        images, labels, classes = _digits(split)
    elif source == 'letters':
        images, labels, classes = _letters(split)
    else:
        images, labels, classes = _idx(Path(idx_root), split)
    members = tuple(np.flatnonzero(labels == i) for i in range(len(classes)))
    empty = [name for name, found in zip(classes, members) if not len(found)]
    if empty:
        raise ValueError(f'Expected {split} glyphs of every class, but got none of {empty}')
    return Glyphs(images, labels.astype(np.int64), classes, members)


def class_names(source: str, idx_root: str) -> tuple[str, ...]:
    """Names of the classes of a source, without reading its glyphs."""
    if source == 'idx':
        return _idx_classes(_idx_files(Path(idx_root), 'train')[0].name)[0]
    return DIGITS if source == 'digits' else LETTERS


def _digits(split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The 8x8 digits of scikit-learn, upscaled smoothly."""
    from sklearn.datasets import load_digits

    data = load_digits()
    part = slice(None, TRAIN_DIGITS) if split == 'train' else slice(TRAIN_DIGITS, None)
    ink = np.pad(data.images[part] / 16, ((0, 0), (1, 1), (1, 1)))
    ink = zoom(ink, (1, UPSCALE, UPSCALE), order=3, mode='grid-constant', grid_mode=True)
    # Interpolation leaves wide grey flanks; a steeper ramp turns them back into strokes.
    ink = np.clip((ink - 0.3) / 0.3, 0, 1)
    return np.rint(255 * ink).astype(np.uint8), data.target[part], DIGITS


def _letters(split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Capital letters in the faces of a split."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    side = 2 * FONT_SIZE
    images, labels = [], []
    for face in FACES[split]:
        path = str(folder / f'{face}.ttf')
        font = ImageFont.truetype(path, FONT_SIZE) if face else ImageFont.load_default(FONT_SIZE)
        for label, letter in enumerate(LETTERS):
            page = Image.new('L', (side, side))
            ImageDraw.Draw(page).text((side // 2, side // 2), letter, 255, font, anchor='mm')
            images.append(np.asarray(page))
            labels.append(label)
    return np.stack(images), np.asarray(labels), LETTERS


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes, plain or gzipped (by its first bytes, not its name).

    Returns:
        uint8 array of the shape the file states.

    Raises:
        ValueError: Another format or element type, or a file that is cut short.
    """
    data = path.read_bytes()
    if data[:2] == b'\x1f\x8b':
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f'Expected a whole gzip file, but got {path}: {error}') from None
    start = 4 + 4 * data[3] if len(data) > 3 else 4
    if len(data) < start or data[:3] != b'\x00\x00\x08':
        raise ValueError(f'Expected an IDX file of unsigned bytes, but got {path}')
    shape = tuple(int(size) for size in np.frombuffer(data[4:start], '>u4'))
    if len(data) - start != math.prod(shape):
        raise ValueError(f'Expected {shape} bytes in {path}, but got {len(data) - start}')
    values = np.frombuffer(data, np.uint8, offset=start)
    return values.reshape(shape)


def _idx(root: Path, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Glyphs of MNIST or EMNIST: its train files for `train`, its test files for `val`."""
    image_file, label_file = _idx_files(root, split)
    images, numbers = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or numbers.shape != images.shape[:1]:
        raise ValueError(
            f'Expected images (N, h, w) and labels (N,), but got {images.shape} in '
            f'{image_file.name} and {numbers.shape} in {label_file.name}'
        )
    classes, first = _idx_classes(image_file.name)
    labels = numbers.astype(np.int64) - first
    # EMNIST stores its images transposed. By class it also has digits and small letters: dropped.
    # So is a blank image, which has no box.
    keep = (labels >= 0) & (labels < len(classes)) & (images.max(axis=(1, 2), initial=0) > 127)
    images = images[keep]
    return (images.transpose(0, 2, 1) if _is_emnist(image_file) else images), labels[keep], classes


def _is_emnist(path: Path) -> bool:
    return path.name.lower().startswith('emnist')


def _idx_classes(name: str) -> tuple[tuple[str, ...], int]:
    """Names of the classes and the number of the first of them in the files."""
    if re.match(r'emnist-letters', name, re.IGNORECASE):
        return LETTERS, 1
    if re.match(r'emnist-(byclass|bymerge|balanced)', name, re.IGNORECASE):
        return LETTERS, 10
    return DIGITS, 0


def _idx_files(root: Path, split: str) -> tuple[Path, Path]:
    """The image file and the label file of a split."""
    part = 'train' if split == 'train' else '(t10k|test)'
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    found = []
    for kind in ('images', 'labels'):
        pattern = re.compile(rf'(.*-)?{part}-{kind}[-.]idx[13]-ubyte(\.gz)?', re.IGNORECASE)
        match = [name for name in names if pattern.fullmatch(name)]
        if len(match) != 1:
            raise ValueError(
                f'Expected one file {part}-{kind}-idx*-ubyte (or .gz) in {str(root)!r}, '
                f'but got {match or "none"}'
            )
        found.append(root / match[0])
    return found[0], found[1]
