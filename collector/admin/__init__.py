"""The admin server: metrics, health, status and the embedded inbox."""
