"""CPU cost of a streamed chunk, side by side with the raw client and the peers: `make bench`."""
