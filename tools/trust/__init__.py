"""The experiments of chapter 13 that train networks, or ask one again and again: long, kept run by run, resumable."""
