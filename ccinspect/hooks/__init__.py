"""The built-in hooks, one file each, each a thin use of a room below."""
