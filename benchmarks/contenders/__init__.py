"""One module per contender; each runs in a process of its own (worker.py) and has METHODS: name -> maker.

A maker takes a `Case` and a setting (a dict with n and amount), builds what a user would build once, and returns a
function without arguments that returns the maps.
"""
