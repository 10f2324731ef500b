"""One file a verb group: parse, call one stage, print."""
