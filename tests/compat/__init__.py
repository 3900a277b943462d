"""Apps that nobody here wrote: what they do is done here in our own words."""
