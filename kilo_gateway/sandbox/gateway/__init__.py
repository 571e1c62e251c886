"""Play the gateway itself: credentials, auto models, checks, errors, lists of models, delivery, records."""
