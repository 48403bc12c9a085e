"""What the lab answers, a file a screen."""
