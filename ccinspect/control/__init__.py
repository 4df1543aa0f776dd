"""The control protocol between the command line and the daemon, and its client (standard library only)."""
