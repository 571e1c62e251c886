"""Scenarios that edit the JSON or the framing of Chat Completions."""
