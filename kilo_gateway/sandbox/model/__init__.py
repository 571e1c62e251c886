"""The canned model behind the sandbox."""
