"""`run --inspect`: a network namespace whose only way out is a WireGuard tunnel to the daemon.

The supervisor (`supervisor.py`) stays on the host. It forks a warden, which builds the namespaces (`inside.py`),
starts the command and outlives it (`warden.py`). The two talk over a socket pair (`channel.py`). Nothing here imports
more than the standard library and floor 0, because all of it is paid for before the command starts.
"""
