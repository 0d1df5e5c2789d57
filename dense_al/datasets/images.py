"""Image files, read no further than needed."""

from pathlib import Path


class UnreadableSampleError(ValueError):
    """A sample's file cannot be read; it is named, and nothing takes its place."""


def image_size(path: str) -> tuple[int, int]:
    """Height and width in pixels, as mmcv will read the image; only the header is read.

    Raises:
        UnreadableSampleError: No image, or one that ends too early.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
            _check_end(path, image.format)
    except (OSError, SyntaxError) as error:
        raise UnreadableSampleError(f'Could not read the image {path}: {error}') from error
    return (width, height) if turned else (height, width)


def _check_end(path: str, format_name: str | None) -> None:
    """Raises OSError if a PNG or JPEG file lacks its end, which a broken copy does."""
    marks = {'PNG': b'IEND', 'JPEG': b'\xff\xd9'}
    if format_name not in marks:
        return
    size = Path(path).stat().st_size
    with open(path, 'rb') as file:
        file.seek(max(0, size - 4096))
        if marks[format_name] not in file.read():
            raise OSError('the file ends too early')
