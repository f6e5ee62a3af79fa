"""What every domain stands on and nothing about any domain: clocks, store, journal, blobs."""
