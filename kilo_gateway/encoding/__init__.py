"""Bytes and text: server-sent events, JSON that may hold anything, surrogates. Pure; knows no gateway."""
