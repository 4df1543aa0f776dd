"""The store: what was captured, on disk, and the process that writes it.

Import the modules themselves; this package is empty so that the command line and the recorder's process load
only what they use.

    recorder    the proxy's handle: never blocks, never raises        (runs in the daemon)
    journal     how messages cross from the proxy to the recorder      (both)
    worker      the recorder's process                                 (its own process)
    query       reading, with or without a daemon                      (command line, daemon)
"""
