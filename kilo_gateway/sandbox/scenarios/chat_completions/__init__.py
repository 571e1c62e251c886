"""Register scenarios that change the JSON or the framing of Chat Completions."""
