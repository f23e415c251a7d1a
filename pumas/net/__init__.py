"""What comes over a network: the hub, releases."""
