"""System calls that code in the sandbox may not make: a seccomp filter, written for the kernel without a library.

Everything is allowed but what reaches beyond the process (network, other processes, mounts, modules, keys, clocks) and
what holds memory that no limit counts (memfd, shared memory, message queues). Refused calls fail with EPERM.
"""

import ctypes
import errno
import platform
import struct

# Numbers by architecture (asm/unistd_64.h; asm-generic/unistd.h). From 424 on all architectures share them.
_X86_64 = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "accept4": 288,
    "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "msgget": 68, "mq_open": 240, "memfd_create": 319,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "execve": 59, "execveat": 322, "unshare": 272, "setns": 308,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "swapon": 167, "swapoff": 168,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "quotactl": 179, "acct": 163,
    "reboot": 169, "sethostname": 170, "setdomainname": 171, "syslog": 103, "personality": 135,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
    "iopl": 172, "ioperm": 173, "modify_ldt": 154, "init_module": 175, "finit_module": 313, "delete_module": 176,
    "kexec_load": 246, "kexec_file_load": 320, "add_key": 248, "request_key": 249, "keyctl": 250,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "migrate_pages": 256, "move_pages": 279, "vmsplice": 278,
}  # fmt: skip
_AARCH64 = {
    "socket": 198, "connect": 203, "accept": 202, "bind": 200, "listen": 201, "accept4": 242,
    "shmget": 194, "shmat": 196, "shmctl": 195, "semget": 190, "msgget": 186, "mq_open": 180, "memfd_create": 279,
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "execve": 221, "execveat": 281, "unshare": 97, "setns": 268,
    "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "swapon": 224, "swapoff": 225,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "fanotify_init": 262, "quotactl": 60, "acct": 89,
    "reboot": 142, "sethostname": 161, "setdomainname": 162, "syslog": 116, "personality": 92,
    "settimeofday": 170, "clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266,
    "init_module": 105, "finit_module": 273, "delete_module": 106,
    "kexec_load": 104, "kexec_file_load": 294, "add_key": 217, "request_key": 218, "keyctl": 219,
    "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "migrate_pages": 238, "move_pages": 239, "vmsplice": 75,
}  # fmt: skip
_EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_open": 434, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "memfd_secret": 447,
}  # fmt: skip
_CLONE3 = 435
# AUDIT_ARCH of linux/audit.h, the forbidden calls, and those that make processes: clone, fork, vfork.
_MACHINES = {
    "x86_64": (0xC000003E, _X86_64, 56, (57, 58)),
    "aarch64": (0xC00000B7, _AARCH64, 220, ()),
}
_X32 = 0x40000000  # x86_64's second set of numbers for the same calls
_CLONE_THREAD = 0x00010000
_NAMESPACES = 0x7E020080  # CLONE_NEW*: user, pid, net, mnt, ipc, uts, cgroup, time

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF instructions of linux/filter.h
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_PR_SET_SECCOMP, _FILTER = 22, 2


def supported() -> bool:
    """Whether the filter knows this machine's numbers."""
    return platform.machine() in _MACHINES


def forbid(*, processes: bool) -> None:
    """Forbids the calls above for good, for this process and its children; with `processes`, new processes too.

    Wants no_new_privs. Raises OSError where the kernel refuses.
    """
    architecture, table, clone, forks = _MACHINES[platform.machine()]
    forbidden = [*table.values(), *_EVERYWHERE.values(), *(forks if processes else ())]
    refuse = _ERRNO | errno.EPERM
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _KILL),
        _step(_EQUAL, _CLONE3, 0, 1),  # its flags lie in memory, where a filter cannot look: libc then uses clone
        _step(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for number in forbidden:
        program += [_step(_EQUAL, number, 0, 1), _step(_RETURN, refuse)]
    program += [
        _step(_EQUAL, clone, 0, 5),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _NAMESPACES, 1, 0),
        _step(_ANY_BIT, _CLONE_THREAD if processes else 0xFFFFFFFF, 1, 0),
        _step(_RETURN, refuse),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ALLOW),
    ]
    _load(b"".join(program))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(program: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    memory = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, "seccomp: " + errno.errorcode.get(number, str(number)))
