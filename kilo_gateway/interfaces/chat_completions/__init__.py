"""The Chat Completions interface: `POST /chat/completions`."""
