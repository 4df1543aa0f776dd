"""Sending a captured request again: what is sent, through the daemon, and which flow it became."""
