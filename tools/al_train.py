"""Runs active learning: python tools/al_train.py CONFIG [--work-dir D] [--sandbox] [--dry-run]."""

import sys

from dense_al.engine.main import main

if __name__ == '__main__':
    sys.exit(main())
