"""The gateway's own work: paths, admission, credentials, auto models, errors, delivery, records."""
