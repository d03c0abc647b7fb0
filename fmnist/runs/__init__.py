"""The run directory and what is read from it: the only contract between commands."""
