"""What only the benchmark has: our methods, plain loops, raw passes, and the process that times them or a library.

METHODS: name -> maker(case, amount), which builds what a user would build once and returns a function without
arguments that returns the maps; None where there is no such method. The libraries' stand in tools/peers.
"""
