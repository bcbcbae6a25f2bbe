"""deny-ptrace.py REQUEST,REQUEST... COMMAND...: runs the command where ptrace answers EPERM to these requests, or to "all".

Says "refused" and ends with 77 where no filter is to be had.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH_X86_64, PTRACE = 0xC000003E, 101
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16

deny = (RETURN, 0, 0, ERRNO | errno.EPERM)
allow = (RETURN, 0, 0, ALLOW)
program = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, AUDIT_ARCH_X86_64), allow]
program += [(LOAD, 0, 0, NUMBER), (EQUAL, 1, 0, PTRACE), allow]
if sys.argv[1] == "all":
    program.append(deny)
else:
    program.append((LOAD, 0, 0, FIRST_ARGUMENT))
    for request in sys.argv[1].split(","):
        program += [(EQUAL, 0, 1, int(request, 0)), deny]
    program.append(allow)

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
