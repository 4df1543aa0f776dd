"""What was in the context window, what it cost, and which conversation it belonged to.

Pure functions over `wire.model` and what was analysed before: no input or output, no clocks. The way in is
`analyse.Analyser`.
"""
