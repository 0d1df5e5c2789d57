"""Runs active learning: python tools/al_train.py CONFIG [--work-dir D] [--sandbox] [--dry-run]."""

from dense_al.engine.main import main
from dense_al.interrupts import exit_undisturbed

if __name__ == '__main__':
    exit_undisturbed(main())
