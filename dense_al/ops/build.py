"""How the compiled operators of mmcv are built."""

BUILD_COMMAND = (
    'pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation '
    '--no-binary onedl-mmcv onedl-mmcv  (after torch, ninja and setuptools >= 77; takes 10 to 20 '
    'minutes), or: make ops'
)
