"""Who is talking: the provider, the agent, the process, the machine, and what the sender said of itself.

Everything here is decided from data that is handed in; nothing listens, and only `processes.py` and `machine.py` look
at this machine. Nothing here imports mitmproxy or another room.
"""
