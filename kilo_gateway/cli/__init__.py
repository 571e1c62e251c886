"""The command line: `app.py` has the commands, `doctor.py` the checks of `doctor`, `shell.py` their shared parts."""
