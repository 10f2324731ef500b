"""What a comparison of models looks like: in words, as tables, as pictures, as a page."""
