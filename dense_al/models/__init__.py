"""Models that mmdet lacks."""
