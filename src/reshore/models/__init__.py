"""The content-addressed model store and the sources that fill it."""
