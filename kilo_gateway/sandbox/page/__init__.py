"""The page of the sandbox, which shows the requests that arrive."""
