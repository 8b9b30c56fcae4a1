"""For those who work on this repository, not for a student."""
