"""How requests travel: one exchange of a request and its answer, with its limits."""
