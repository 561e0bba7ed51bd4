"""Delivery: how batches are encoded, posted, retried and given up."""
