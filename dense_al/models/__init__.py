"""What mmdet lacks: a weakly supervised RoI head, and mask losses at points."""
