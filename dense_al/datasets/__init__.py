"""Readers and transforms that show a trainer only what was answered."""
