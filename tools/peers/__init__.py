"""Other libraries, each wrapped once: what `make parity` compares and `make bench` times.

A wrapper, with_NAME.py or metrics_NAME.py, has functions `maker(case, ...)` that build what a user would build once and
return a function without arguments, which explains the inputs; None where the library cannot explain such inputs.

- PACKAGE, and BACKEND where Keras is not part of the project's own environment
- `answers(case)`: arrays by name for the comparison, with every draw handed in (answering.py asks it)
- `METHODS`: name -> maker(case, amount), the calls that are timed, with the library's own draws
- `path(case)`: `run(item, steps)`, Integrated Gradients of one input
"""
