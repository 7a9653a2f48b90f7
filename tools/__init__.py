"""The targets of the Makefile: set-up, notebooks, report. Not part of what a reader of the course imports."""
