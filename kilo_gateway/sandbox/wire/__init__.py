"""Render the sandbox's answers in the gateway's wire formats."""
