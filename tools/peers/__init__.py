"""What `make parity` asks of other libraries: each module here runs in a process of its own and leaves its maps."""
