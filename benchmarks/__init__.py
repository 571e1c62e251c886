"""Measure the CPU cost of a streamed chunk, and compare it with the raw client and the peers: `make bench`."""
