"""Where models come from, a file a source."""
