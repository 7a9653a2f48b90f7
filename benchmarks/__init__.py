"""Speed and memory of our methods beside other libraries': `make bench`, or python -m benchmarks.

plan.py says what is measured, cases.py makes the networks and inputs, contenders/ holds our methods, plain loops and
raw passes (tools/peers wraps the libraries), driver.py asks them in turn, statistics.py and goals.py judge, page.py and
figures.py write results.md and scaling.png.
"""
