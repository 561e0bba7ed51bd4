"""Sockets: what arrives is cut into frames and handed to the pipeline, a read at a time."""
