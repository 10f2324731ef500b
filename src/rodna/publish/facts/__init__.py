"""What the report says, one file a section: artifacts in, words, numbers and charts out. No HTML but the charts."""
