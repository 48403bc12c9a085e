"""The lab's server: reads runs and traces, and starts the same commands a person would type."""
