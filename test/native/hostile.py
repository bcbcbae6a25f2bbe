"""A probe process that is none: it has the shared memory, and writes into it what it likes.

Node starts it in the place of sigframe-probe, with what it is to do filled in below. It says that it serves, waits
until Node has written into the first request, begins, and says so in the second word. It ends after some seconds,
unless it is killed before.
"""

import mmap
import os
import random
import struct
import time

mode = "MODE"
page = 4096
arena = 3
bound = time.monotonic() + 8

size = os.fstat(arena).st_size
memory = mmap.mmap(arena, size)


def control(value):
    memory[0:page] = struct.pack("<I", value) * (page // 4)


def answer(value):
    memory[page + 4 : page + 8] = struct.pack("<I", value)


if mode == "fails":
    # Ready, but as one that could not start; the stage and the error are the same number.
    control(2)
    time.sleep(8)

# Whichever word it is that says so.
control(1)
while time.monotonic() < bound and memory[page : page + 4] == bytes(4):
    time.sleep(0.001)

if mode == "never done":
    # A bell that goes on changing, and a count of completed requests that goes up and down.
    control(0)
    answer(1)
    while time.monotonic() < bound:
        for _ in range(1000):
            control(0)
            control(2)

if mode == "garbage":
    chaos = random.Random(7)
    answer(1)
    while time.monotonic() < bound:
        memory[0:page] = chaos.randbytes(page)

if mode == "shrinks":
    try:
        os.ftruncate(arena, page)
        answer(0xFFFF)
    except OSError as error:
        answer(error.errno)
    time.sleep(8)

if mode == "ends":
    control(0)
    answer(1)
    os._exit(42)
