"""A small but true node: peer to peer over QUIC, signed, journalled, judged by pure rules.

`node.py` is the only place where the parts meet; `__main__.py` serves one node from a config file.
"""
