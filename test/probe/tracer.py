"""Attaches to a process and never asks how it fares: what ends meanwhile cannot be reaped by its parent.

usage: tracer.py PID. Prints "attached", or "refused: why"; ends with its standard input, or after a minute.
"""

import ctypes
import os
import select
import sys

PTRACE_SEIZE = 0x4206

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
if libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0:
    print("attached", flush=True)
    select.select([sys.stdin], [], [], 60)
else:
    print("refused:", os.strerror(ctypes.get_errno()), flush=True)
