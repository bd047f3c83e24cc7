"""Trained models for other runtimes: written, read again there, and compared with the original."""
