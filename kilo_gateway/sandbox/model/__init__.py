"""Answer requests with a canned model."""
