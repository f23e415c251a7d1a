"""Files on disk: documents, locks, paths, what is set aside. The files are the truth."""
