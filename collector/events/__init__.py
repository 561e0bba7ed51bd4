"""What becomes of an event once its message is parsed: what is added, and where it goes."""
