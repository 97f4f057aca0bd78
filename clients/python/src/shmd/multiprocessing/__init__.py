"""multiprocessing's names over shmd."""
