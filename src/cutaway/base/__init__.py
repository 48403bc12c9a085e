"""What everything else stands on: names, files, errors, seeds. Knows nothing about models."""
