"""Bars: tqdm, in a notebook a widget, with a lock that no process leaves behind."""

import threading

from tqdm import tqdm as any_bar
from tqdm.auto import tqdm

__all__ = ["tqdm"]

# Not tqdm's own lock, one of multiprocessing's, which a process that is killed or leaves at once
# would leak. Set for all kinds of bars, that of a notebook being a kind.
any_bar.set_lock(threading.RLock())
