"""The gateway's wire formats, a folder for each."""
