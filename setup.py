"""Package metadata: `pip install -e .[mm,dev]`."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

setup(
    name='dense_al',
    version='0.1.0',
    description='Active learning for dense prediction on the OpenMMLab stack',
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['dense_al', 'dense_al.*']),
    package_data={'dense_al.analysis': ['*.j2'], 'dense_al.datasets': ['label_maps/*.yaml']},
    install_requires=[
        'jinja2',
        'matplotlib',
        'numpy>=2',
        'pillow',
        'pyarrow',
        'pyyaml',
        'scikit-image',
        'scikit-learn',
        'scipy',
        'torch>=2.4',
        'tqdm',
    ],
    extras_require={
        # The maintained forks; never beside the original mmengine / mmcv / mmdet / mmseg.
        'mm': [
            'onedl-mmengine>=0.10.12',
            'onedl-mmcv>=2.3.6',
            'onedl-mmdetection>=3.5.1',
            'onedl-mmsegmentation>=1.4.2',
            'ftfy',
            'regex',
        ],
        'lidar': ['open3d-cpu', 'spconv'],
        'gpu': ['spconv-cu126'],
        'dev': ['mypy', 'pytest', 'pytest-xdist', 'ruff'],
        'docs': ['mkdocs>=1.6,<2', 'mkdocs-material>=9.5,<10'],
    },
)
