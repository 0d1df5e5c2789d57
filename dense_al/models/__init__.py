"""What mmdet lacks. Import the files themselves; they load mmdet."""
