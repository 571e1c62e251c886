"""The command line: `app.py` has the commands, `doctor.py` and `verify.py` parts of one, `shell.py` what they share."""
