"""What keeps code in: namespaces, a file system view, Landlock, seccomp, limits. Linux; standard library only.

`Walls.build()` is called once by a server process and makes the view of the file system; `jail` forks from it a process
that is alone in new user, pid, mount and ipc namespaces (the server's network namespace is empty). Whatever the machine
does not offer is left out and not listed in `Walls.layers`; who uses them decides whether the rest is enough.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from underdog.verify.sandbox import seccomp

NOBODY = 65534
SCRATCH = "/tmp"
SCRATCH_BYTES = 16 << 20
_NEW_USER, _NEW_PID, _NEW_NET, _NEW_IPC, _NEW_UTS, _NEW_NS = (
    0x10000000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x00020000,
)  # fmt: skip
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _DETACH = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18, 2,
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 4, 1, 38
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Walls:
    """The isolation that this machine offers, and a server inside it."""

    layers: list[str] = field(default_factory=list)
    _folders: list[str] = field(default_factory=lambda: readable())  # found while all files can be seen
    _processes: int = -1  # a descriptor of /proc, which is not in the view

    @staticmethod
    def build(namespaces: bool = True) -> "Walls":
        """Puts this process behind what there is; it never comes out again."""
        walls = Walls()
        was_root = os.geteuid() == 0
        with suppress(OSError):
            if namespaces:
                walls._enclose(was_root)
                walls.layers.append("namespaces")
        if was_root:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self belongs to root
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if abi := _landlock_abi():
            walls.layers.append(f"Landlock {abi}")
        if seccomp.supported():
            walls.layers.append("seccomp")
        return walls

    def _enclose(self, root: bool) -> None:
        """New namespaces, and a view of the file system that holds Python and nothing else."""
        probe = os.fork()
        if not probe:  # what fails half-way would leave the server in no state to go on
            try:
                self._namespaces(root)
                os._exit(0)
            except BaseException:
                os._exit(1)
        if os.waitpid(probe, 0)[1]:
            raise OSError("no namespaces")
        self._namespaces(root)

    def _namespaces(self, root: bool) -> None:
        apart = _NEW_NS | _NEW_NET | _NEW_IPC | _NEW_UTS
        self._processes = os.open("/proc", os.O_PATH)
        if root:
            _call("unshare", apart)
        else:
            user, group = os.geteuid(), os.getegid()
            _call("unshare", apart | _NEW_USER)
            self._map(0, user, group)
        _new_root(self._folders)

    def _map(self, inside: int, user: int, group: int) -> None:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{inside} {user} 1"),
            ("gid_map", f"{inside} {group} 1"),
        ):
            file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=self._processes)
            os.write(file, text.encode())
            os.close(file)

    def jail(self, inmate: Callable[[], None], keep: tuple[int, ...], memory: int, scratch: str) -> int:
        """Forks `inmate` into a jail of its own; the pid whose killing ends everything in there.

        keep: descriptors that it inherits; all others are closed. memory: bytes of address space of a process.
        scratch: the one folder where it can write; with namespaces an empty one is mounted there.
        """
        child = os.fork()
        if child:
            return child
        try:
            _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.setsid()
            if "namespaces" in self.layers:
                user, group = os.geteuid(), os.getegid()
                _call("unshare", _NEW_USER | _NEW_PID | _NEW_NS | _NEW_IPC)
                self._map(1000, user, group)
                first = os.fork()
                if first:
                    _close_others(())
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
                _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                _mount(
                    "tmpfs",
                    scratch,
                    "tmpfs",
                    _NO_SUID | _NO_DEVICES | _NO_EXEC,
                    f"size={SCRATCH_BYTES},nr_inodes=4096,mode=700",
                )
            _close_others(keep)
            for _ in range(3):  # standard input, output and error: no pipe may take their numbers
                os.open("/dev/null", os.O_RDWR)
            os.chdir(scratch)
            self._limit(memory, scratch)
            inmate()
            os._exit(0)
        except BaseException:
            os._exit(1)

    def _limit(self, memory: int, scratch: str) -> None:
        for what, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, SCRATCH_BYTES),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NPROC, 64),
            (resource.RLIMIT_MEMLOCK, 1 << 16),
        ):
            resource.setrlimit(what, (most, most))
        _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _drop_capabilities()
        if any(layer.startswith("Landlock") for layer in self.layers):
            _landlock(["/"] if "namespaces" in self.layers else self._folders, [scratch])
        if "seccomp" in self.layers:
            seccomp.forbid(processes=False)


def readable() -> list[str]:
    """The folders that Python needs to go on importing its standard library."""
    wanted = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("LIBDIR"), "/usr/lib", "/lib", "/lib64"]
    found = {os.path.realpath(path) for path in wanted if path and os.path.isdir(path)}
    return sorted(path for path in found if not any(path.startswith(other + "/") for other in found))


def _new_root(folders: list[str]) -> None:
    """Makes `folders`, four devices and an empty /tmp the whole file system, all read-only."""
    _mount("none", "/", None, _RECURSIVE | _PRIVATE)
    root = SCRATCH  # hidden for this process alone
    _mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEVICES, "size=1m,mode=755")
    for path in folders:
        os.makedirs(root + path, exist_ok=True)
        _mount(path, root + path, None, _BIND | _RECURSIVE)
        with suppress(OSError):  # a mount that came locked may refuse other flags; read-only is for Landlock, too
            _mount("none", root + path, None, _BIND | _REMOUNT | _READ_ONLY | _NO_SUID | _NO_DEVICES)
    for name in ("/lib", "/lib64"):
        if os.path.islink(name) and not os.path.lexists(root + name):
            os.symlink(os.readlink(name), root + name)
    os.makedirs(root + "/dev")
    for device in _DEVICES:
        os.close(os.open(root + device, os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(device, root + device, None, _BIND)
    os.makedirs(root + SCRATCH)
    os.chmod(root + SCRATCH, 0o777)
    os.chdir(root)
    _call("syscall", _PIVOT_ROOT, b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir("/")
    _mount("none", "/", None, _BIND | _REMOUNT | _READ_ONLY | _NO_SUID | _NO_DEVICES)


_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, -1)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    encoded = [value.encode() if value else None for value in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), options.encode() or None)


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))  # version 3, this process
    _call("capset", header, ctypes.create_string_buffer(24))


def _close_others(keep: tuple[int, ...]) -> None:
    last = 0
    for fd in sorted(keep):
        os.closerange(last, fd)
        last = fd + 1
    os.closerange(last, 4096)


_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights on files each version of Landlock knows
_WRITE_FILE, _READ_FILE, _READ_DIR, _IOCTL = 1 << 1, 1 << 2, 1 << 3, 1 << 15


def _landlock_abi() -> int:
    return max(0, _libc.syscall(_CREATE_RULESET, None, 0, 1))


def _landlock(readable: list[str], writable: list[str]) -> None:
    """Landlock (linux/landlock.h): reading here, writing there, no TCP, no signals or abstract sockets to outside."""
    abi = _landlock_abi()
    everything = (1 << _FILE_RIGHTS[min(abi, 5)]) - 1
    attributes = struct.pack("=QQQ", everything, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = _call("syscall", _CREATE_RULESET, ctypes.create_string_buffer(attributes), len(attributes), 0)
    changing = everything & ~(1 | _IOCTL | 1 << 6 | 1 << 11)  # no execution, no devices made
    for paths, rights in ((readable, _READ_FILE | _READ_DIR), (writable, changing)):
        for path in paths:
            try:
                folder = os.open(path, os.O_PATH)
            except (
                OSError
            ):  # without a view of its own, "nobody" may not see the user's Python; much is imported already
                continue
            rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, folder))
            _call("syscall", _ADD_RULE, rules, 1, rule, 0)
            os.close(folder)
    null = os.open("/dev/null", os.O_PATH)
    rule = ctypes.create_string_buffer(struct.pack("=Qi", _WRITE_FILE | _READ_FILE, null))
    _call("syscall", _ADD_RULE, rules, 1, rule, 0)
    os.close(null)
    _call("syscall", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _call(name: str, *arguments) -> int:
    """A function of libc. Raises OSError where it fails."""
    result = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


sys.setrecursionlimit(10_000)  # as competition programs expect it; the stack is bounded by the system
