"""Freed memory stays with the process, instead of going back to the system after every step.

A training step allocates and frees the same megabytes again and again. glibc asks the system for
each large block and gives it back at once, so that every step touches fresh pages: each is a
fault, and has to be zeroed. torch's performance guide advises another allocator for this; telling
glibc to keep what it has does the same (mallopt(3)). It costs some memory: blocks into which
nothing fits any more are kept, too.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP = 2**31 - 1  # bytes, the largest int: no block is too large to keep


def keep_freed_memory() -> bool:
    """Tell the C library, for this process and those forked from it. False: it is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows takes no None
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEEP) and mallopt(M_TRIM_THRESHOLD, KEEP))
