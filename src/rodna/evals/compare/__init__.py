"""Which of several evaluated models is better, at what, and how sure that is."""
