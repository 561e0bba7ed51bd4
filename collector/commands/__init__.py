"""Commands that take more than a small function: a module each, added in `collector.cli`."""
