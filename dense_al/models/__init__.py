"""What mmdet lacks: masks trained from points. Import the files themselves; they load mmdet."""
