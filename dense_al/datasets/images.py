"""What goes wrong with the files of samples."""


class UnreadableSampleError(ValueError):
    """A sample's file cannot be read; it is named, and nothing takes its place."""
