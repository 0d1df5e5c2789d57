"""Reads images the way mmcv's `LoadImageFromFile` does by default, so that the sizes agree."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

try:
    import cv2
except ImportError:  # without mmcv, OpenCV may be missing
    cv2 = None  # type: ignore[assignment]

_ORIENTATION = 274
_PLAIN_FORMATS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')
_ENDS = {'PNG': b'IEND', 'JPEG': b'\xff\xd9'}


class ImageError(ValueError):
    """An image that is there but cannot be read."""


def decoder() -> str:
    """Which library decodes images: `opencv`, as in mmcv, or `pillow` where there is none."""
    return 'pillow' if cv2 is None else 'opencv'


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image, turned as its EXIF orientation says.

    Args:
        path: The file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ImageError: The file is no image, or it is damaged or cut off.
    """
    content = _content(path)
    # OpenCV fills what is missing from a damaged file with grey; Pillow says so.
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            if cv2 is None:
                return np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
    except UnidentifiedImageError:
        pass  # a format only OpenCV may know
    except Exception as error:  # Pillow's plugins raise what they like
        raise ImageError(f'Could not read the image `{path}`: {error}') from error
    image = _decoded(content)
    if image is None:
        raise ImageError(f'Could not read the image `{path}`: {len(content)} bytes, no image')
    return image


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in pixels that `read_image` would give, from the header where possible.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ImageError: The file is no image, or it is damaged or, where it can be seen, cut off.
    """
    _check_exists(path)
    try:
        with Image.open(path) as picture:
            _check_end(path, picture.format)
            # Where there is one, it depends on format and decoder whether it is obeyed.
            if picture.format in _PLAIN_FORMATS and not _turned(picture):
                return picture.height, picture.width
    except UnidentifiedImageError:
        pass
    except Exception as error:
        raise ImageError(f'Could not read the image `{path}`: {error}') from error
    height, width = read_image(path).shape[:2]
    return height, width


def _turned(picture: Image.Image) -> bool:
    """Whether the header has an orientation other than the usual one."""
    # Without `exif` in the header of a PNG there is none, and `getexif` would decode it.
    silent = picture.format == 'PNG' and 'exif' not in picture.info
    return not silent and picture.getexif().get(_ORIENTATION, 1) != 1


def _check_end(path: str | Path, format_name: str | None) -> None:
    """Raises OSError if a PNG or JPEG file lacks its end, which a broken copy does."""
    if format_name not in _ENDS:
        return
    size = Path(path).stat().st_size
    with open(path, 'rb') as file:
        file.seek(max(0, size - 4096))
        if _ENDS[format_name] in file.read():
            return
    with Image.open(path) as picture:
        picture.load()  # fails unless something, such as a phone's film, was appended


def _content(path: str | Path) -> bytes:
    _check_exists(path)
    return Path(path).read_bytes()


def _check_exists(path: str | Path) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected an image at `{path}`, but got no such file')


def _decoded(content: bytes) -> Any:
    if cv2 is None or not content:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
