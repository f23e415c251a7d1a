"""Downloads: which files of a repo, in which order, under whose hands, and what they become."""
