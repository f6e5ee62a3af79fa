"""One file per revision, `NNNN_what.py`; each only goes forward."""
