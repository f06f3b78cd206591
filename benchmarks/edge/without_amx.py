"""`refuse_amx`: what is loaded from then on runs as on a processor without AMX.

Newer Xeons have AMX, tile registers for int8 products, and no edge processor has. XNNPACK uses them
where the operating system lets it, and is slower with them at convolutions of few channels.
A program that wants them has to ask the system, which is told here to refuse.
"""

import ctypes
import os
import platform
from pathlib import Path

__all__ = ["has_amx", "refuse_amx"]

# Of Linux, on x86-64.
_ARCH_PRCTL, _ASK_FOR_REGISTERS = 158, 0x1023
_SET_SECCOMP, _FILTER, _SET_NO_NEW_PRIVILEGES = 22, 2, 38
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOT_PERMITTED = 0x7FFF0000, 0x00050001
_NUMBER_AT, _FIRST_ARGUMENT_AT = 0, 16


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def has_amx() -> bool:
    """Whether this processor has AMX for int8."""
    facts = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and facts.exists() and "amx_int8" in facts.read_text()


def refuse_amx() -> None:
    """From now on this thread and those that it starts get no AMX, unless they have it already.

    Raises:
        OSError: The system does not allow it.
    """
    steps = [
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 0, 3, _ARCH_PRCTL),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_IF_EQUAL, 0, 1, _ASK_FOR_REGISTERS),
        (_RETURN, 0, 0, _NOT_PERMITTED),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = _Program(len(steps), (_Instruction * len(steps))(*(_Instruction(*s) for s in steps)))
    system = ctypes.CDLL(None, use_errno=True)
    for call in (
        (_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0),
    ):
        if system.prctl(*call):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
