"""See what your coding agent really sends."""

__version__ = "0.1.0"
