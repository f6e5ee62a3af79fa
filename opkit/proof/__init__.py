"""What anyone can check offline: pure codecs and checks, bytes in and verdicts out, no I/O.

Import the module you need (`from opkit.proof import jws`); this package itself loads nothing.
"""
