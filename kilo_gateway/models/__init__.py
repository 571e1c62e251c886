"""The models of the gateway: the list, one model's facts, prices, and the lists kept on disk."""
