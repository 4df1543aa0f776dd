"""The background process: mitmweb's master, the listeners, the runs, the control socket."""
