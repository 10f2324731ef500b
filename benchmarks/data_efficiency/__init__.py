"""Bits per byte from the same text and the same time: rodna beside its peers. `python -m benchmarks.data_efficiency --help`."""
