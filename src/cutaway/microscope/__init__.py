"""Every number of any PyTorch model, forward, backward and optimizer, explained and checked."""
