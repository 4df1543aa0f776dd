"""The MCP server: what was captured, as tools and resources for a model.

It reads the store in a process of its own; the proxy knows nothing of it.
"""
