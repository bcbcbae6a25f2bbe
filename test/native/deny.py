"""deny.py NUMBER,NUMBER... COMMAND...: runs the command where those system calls answer ENOSYS, as in a kernel without them.

x86-64's own numbers; 32-bit system calls are left alone. Says "refused" and ends with 77 where no filter is to be had.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH_X86_64 = 0xC000003E

numbers = [int(number) for number in sys.argv[1].split(",")]
program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, AUDIT_ARCH_X86_64), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 0)]
for number in numbers:
    program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
program.append((RETURN, 0, 0, ALLOW))

code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
fprog = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if (
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
    or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0) != 0
):
    print("refused:", os.strerror(ctypes.get_errno()))
    sys.exit(77)
os.execv(sys.argv[2], sys.argv[2:])
