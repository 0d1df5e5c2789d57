"""Reads images the way mmcv's `LoadImageFromFile` does by default, so that the sizes agree."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

try:
    import cv2
except ImportError:  # without mmcv, OpenCV may be missing
    cv2 = None  # type: ignore[assignment]

_ORIENTATION = 274
_PLAIN_FORMATS = ('BMP', 'JPEG', 'PNG')

ImageSource = str | Path | Callable[[], np.ndarray]


class ImageError(ValueError):
    """An image that is there but cannot be read."""


def decoder() -> str:
    """Which library decodes images: `opencv`, as in mmcv, or `pillow` where there is none."""
    return 'pillow' if cv2 is None else 'opencv'


def read_image(source: ImageSource) -> np.ndarray:
    """Reads an image, turned as its EXIF orientation says.

    Args:
        source: A path, or a function that returns an (H, W, 3) uint8 RGB array.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ImageError: The file is no image, or it is damaged or cut off.
    """
    if callable(source):
        return source()
    content = _content(source)
    # OpenCV fills what is missing from a damaged file with grey; Pillow says so.
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            if cv2 is None:
                return np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
    except UnidentifiedImageError:
        pass  # a format only OpenCV may know
    except Exception as error:  # Pillow's plugins raise what they like
        raise ImageError(f'Could not read the image `{source}`: {error}') from error
    image = _decoded(content)
    if image is None:
        raise ImageError(f'Could not read the image `{source}`: {len(content)} bytes, no image')
    return image


def image_size(source: ImageSource) -> tuple[int, int]:
    """Height and width in pixels that `read_image` would give, from the header where possible.

    Args:
        source: As for `read_image`.

    Raises:
        FileNotFoundError: There is no such file.
        ImageError: The file is no image or damaged.
    """
    if not callable(source):
        _check_exists(source)
        try:
            with Image.open(source) as picture:
                # In other formats it depends on the decoder whether an orientation is obeyed.
                plain = picture.format in _PLAIN_FORMATS
                # Without `exif` in the header there is none; `getexif` would decode a whole PNG.
                turned = 'exif' in picture.info and picture.getexif().get(_ORIENTATION, 1) != 1
                if plain and not turned:
                    return picture.height, picture.width
        except UnidentifiedImageError:
            pass
        except Exception as error:
            raise ImageError(f'Could not read the image `{source}`: {error}') from error
    height, width = read_image(source).shape[:2]
    return height, width


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
