"""make toolbox: a folder of pages that shows the course's networks from the inside, in a browser and without a server.

Browse is computed here (tools/toolbox/units.py); Live runs the networks in the browser (tools/toolbox/networks.py).
"""
