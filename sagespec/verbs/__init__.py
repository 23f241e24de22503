"""One file a verb, behind `Project`."""
