"""opkit: tell, run and verify demo stories on a cooperative peer-to-peer network.

Importing this package costs nothing: sub-packages are loaded when they are used.
"""

__version__ = "0.1.0"
