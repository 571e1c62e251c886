"""The wire formats in which the sandbox answers."""
