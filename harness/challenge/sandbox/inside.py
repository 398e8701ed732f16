"""What runs between the harness and a decoder: it takes away what the decoder must not have, then becomes it.

A program of its own, which needs the standard library alone and is started as `python -I -S inside.py PLAN`, where PLAN
is JSON (see boxes.py). In a box of namespaces it is the first process: its root is an empty tmpfs of limited size,
into which the system and the interpreter are bound read-only, and the old root is unmounted. Under bubblewrap, which
does all that itself, it only makes a user namespace before and drops what is left inside. With Landlock it binds itself
and so all its children to a list of folders. In each of these boxes it ends without capabilities and without a way to
new ones. Where the decoder is among the machine's processes, one stays above it, and ends what it leaves behind.

Sources: user_namespaces(7), mount_namespaces(7), pivot_root(2), mount_setattr(2), landlock(7), capabilities(7).
"""

import ctypes
import errno
import functools
import json
import os
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT_CLEAR_ALL = 4
SYS_MOUNT_SETATTR, SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 442, 444, 445, 446  # on every machine
NOBODY = 65_534
SUBMISSION = "/submission"  # where a box with a root of its own shows what it copies
CANNOT_START = 126
DEVICES = ("null", "zero", "full", "random", "urandom")

Plan = dict[str, Any]


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> int:
    """A function of the C library; raises OSError where it returns -1."""
    result = int(getattr(_libc(), name)(*arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _call("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])


def enter_user_namespace() -> bool:
    """Become root of a user namespace of one's own; True where `nobody` exists there beside it.

    Root maps itself and `nobody`, so that the decoder can be somebody without a file on this machine; anybody else may
    map only himself. No further user namespaces can be made inside.
    """
    user, group = os.getuid(), os.getgid()
    ready, go = os.pipe(), os.pipe()
    helper = os.fork()  # only a process outside may map more than itself
    if helper == 0:
        os.close(ready[1])
        os.close(go[0])
        os.read(ready[0], 1)
        parent = Path(f"/proc/{os.getppid()}")
        with_nobody = user == 0
        try:
            for file in ("uid_map", "gid_map"):
                (parent / file).write_text(f"0 0 1\n{NOBODY} {NOBODY} 1\n")
        except OSError:
            with_nobody = False
        os.write(go[1], b"y" if with_nobody else b"n")
        os._exit(0)
    _call("unshare", CLONE_NEWUSER)
    os.write(ready[1], b"x")
    with_nobody = os.read(go[0], 1) == b"y"
    os.waitpid(helper, 0)
    for end in (*ready, *go):
        os.close(end)
    if not with_nobody:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1\n")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1\n")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")  # this namespace's own setting
    return with_nobody


def bind(source: str, target: str, flags: int = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) -> None:
    """Show a file or folder, and all that is mounted below it, at another place; read-only by default."""
    _mount(source, target, None, MS_BIND | MS_REC)
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)  # struct mount_attr: set, clear, propagation, user namespace
    _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, attributes, len(attributes))


def build_root(plan: Plan) -> None:
    """Mount the new root, fill it by the plan, make it the root, and let go of the old one.

    Where nothing is bound anybody may write: what a decoder leaves there is its own affair, and is found afterwards.
    """
    root = plan["root"]
    os.umask(0)
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={plan['disk']},nr_inodes=400k,mode=777")
    for folder in (*plan["folders"], "/proc", "/dev", "/dev/shm"):
        Path(root + folder).mkdir(parents=True, exist_ok=True)
    for target, text in plan["links"]:
        Path(root + target).parent.mkdir(parents=True, exist_ok=True)
        Path(root + target).symlink_to(text)
    for source, target in plan["binds"]:
        _place(source, root + target)
        bind(source, root + target)
    for target in plan["masks"]:
        _mount("tmpfs", root + target, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for source, target in plan["packages"]:
        _place(source, root + target)
        bind(source, root + target)
    for target in plan["masks"]:
        _mount("none", root + target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    for name in DEVICES:
        Path(f"{root}/dev/{name}").touch()
        bind(f"/dev/{name}", f"{root}/dev/{name}", MOUNT_ATTR_NOSUID)
    for name, text in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(f"{root}/dev/{name}").symlink_to(f"/proc/self/{text}")
    Path(root + "/dev").chmod(0o755)
    _mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, f"size={plan['shared_memory']},mode=1777")
    _mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    bind(root + "/proc/sys", root + "/proc/sys")
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", MNT_DETACH)  # the old root lies on the new one until then
    os.chdir("/")


def _place(source: str, target: str) -> None:
    """Something of the same kind to mount on, where there is nothing yet."""
    if Path(target).exists():
        return
    if Path(source).is_dir():
        Path(target).mkdir(parents=True)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()


def start_loopback() -> None:
    """Let the box talk to itself, as a container without a network can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        import fcntl  # not everywhere

        fcntl.ioctl(end, 0x8914, struct.pack("16sh22x", b"lo", 0x41))  # SIOCSIFFLAGS: up and running


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(SYS_LANDLOCK_CREATE, None, 0, 1)))


def restrict_by_landlock(plan: Plan) -> None:
    """Bind this process and its children to the plan's folders. What the kernel is too old for stays open."""
    abi = landlock_abi()
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1  # rights on files, landlock(7)
    read = 0b1101  # execute, read file, read folder
    of_files = every & (0b111 | 1 << 14 | 1 << 15)  # what there is of them on what is no folder
    attributes = struct.pack("=QQQ", every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    rules = _call("syscall", SYS_LANDLOCK_CREATE, attributes, 8 if abi < 4 else 16 if abi < 6 else 24, 0)
    paths = [(source, read) for source, _ in (*plan["binds"], *plan["packages"])]
    # Of the processes this one alone, which the decoder is going to be: command lines may hold secrets.
    system = ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version", str(os.getpid()))
    paths += [(f"/proc/{name}", read) for name in system]
    paths += [*((mask, 0b1000) for mask in plan["masks"])]
    paths += [(f"/dev/{name}", every) for name in DEVICES]
    # Semaphores of Python's processes are files there. Their names cannot be listed, and only files be made.
    shared = every & (1 << 1 | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 14)  # write, read, remove, make, truncate files
    paths += [("/dev/shm", shared), (plan["work"], every)]
    for path, rights in paths:
        if not Path(path).exists():
            continue
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if Path(path).is_dir() else rights & of_files
        _call("syscall", SYS_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", allowed, handle), 0)
        os.close(handle)
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", SYS_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def drop_privileges(nobody: bool) -> None:
    """Give up all capabilities, for good, and with `nobody` the identity too."""
    for capability in range(64):
        if _libc().prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1 and ctypes.get_errno() == errno.EINVAL:
            break  # the kernel's last one came before
    _libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if nobody:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header = struct.pack("=Ii", 0x20080522, 0)  # version 3 of the interface, this process
    _call("capset", header, bytes(24))
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def become_decoder(plan: Plan, nobody: bool) -> None:
    """Hand the folders to the harness, drop everything, and run the plan's command. Returns only by an exit."""
    work = plan["work"]
    os.umask(0o022)
    if plan["submission"]:
        shutil.copytree(plan["submission"], work, dirs_exist_ok=True)
        if nobody:
            for place, folders, files in os.walk(work):
                for name in (".", *folders, *files):
                    os.chown(Path(place) / name, NOBODY, NOBODY)
    if plan["socket"] is not None:
        with socket.socket(fileno=plan["socket"]) as harness:
            handles = [os.open(path, os.O_RDONLY) for path in (work, "/", "/proc/self/net/snmp")]
            socket.send_fds(harness, [b"ready"], handles)
            for handle in handles:
                os.close(handle)
            harness.recv(1)  # the clock starts
    if plan["tasks"]:
        import resource  # not everywhere

        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        tasks = plan["tasks"] if hard == resource.RLIM_INFINITY else min(plan["tasks"], hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
    if plan["level"] != "limits":
        drop_privileges(nobody)
    if plan["level"] == "landlock":
        restrict_by_landlock(plan)
    os.chdir(work)
    try:
        os.execv(plan["command"][0], plan["command"])
    except OSError as error:
        print(f"cannot start: {error.strerror}", flush=True)
        os._exit(CANNOT_START)


def _close_socket(plan: Plan) -> None:
    if plan["socket"] is not None:
        os.close(plan["socket"])


def _status(code: int) -> int:
    """An exit code for what waitpid returned, as a shell has it."""
    return 128 + os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)


def _follow(child: int) -> int:
    """Wait for a child, burying others that are left to this process; its exit code."""
    while True:
        pid, code = os.wait()
        if pid == child:
            return _status(code)


def run_in_namespaces(plan: Plan) -> int:
    """The whole box by this program alone; the decoder's exit code."""
    nobody = enter_user_namespace()
    _call("unshare", CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
    first = os.fork()
    if first:
        _close_socket(plan)
        return _follow(first)
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    build_root(plan)
    start_loopback()
    socket.sethostname("decoder")
    decoder = os.fork()
    if decoder == 0:
        os.setsid()
        become_decoder(plan, nobody)
    _close_socket(plan)
    drop_privileges(nobody=False)
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)  # the decoder may not look into it
    return _follow(decoder)


def run_below(plan: Plan) -> int:
    """Run the decoder among this machine's processes, and end all that it leaves behind; the decoder's exit code.

    What has left the decoder's session, with its environment and its parent gone, would be nobody's; so the orphans
    below this process become its children.
    """
    _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    decoder = os.fork()
    if decoder == 0:
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        become_decoder(plan, nobody=False)
    code = _follow(decoder)
    while left := _children():
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)
    return code


def _children() -> list[int]:
    """The processes whose parent is this one; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        except OSError:  # ended meanwhile
            continue
        if int(parent) == os.getpid():
            found.append(int(entry.name))
    return found


def main() -> int:
    """Build the box that the plan names, or the part that is left to do, and run the decoder in it."""
    plan = json.loads(sys.argv[1])
    if plan["level"] != "bubblewrap":
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return run_in_namespaces(plan) if plan["level"] == "namespaces" else run_below(plan)
    if plan["level"] == "bubblewrap" and plan["wrap"]:
        plan["nobody"] = enter_user_namespace()
        wrap, plan["wrap"] = plan["wrap"], []
        os.execvp(wrap[0], [*wrap, json.dumps(plan)])
    become_decoder(plan, plan.get("nobody", False))
    return CANNOT_START


if __name__ == "__main__":
    raise SystemExit(main())
