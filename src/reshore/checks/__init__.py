"""Pure checks of an answer."""
