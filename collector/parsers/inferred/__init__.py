"""What can be told from a value: the parts of names, addresses of pages, programs, techniques."""
