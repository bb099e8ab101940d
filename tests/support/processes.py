"""Child processes that never outlive us, free ports, waiting for things."""
import atexit
import ctypes
import hashlib
import os
import random
import resource
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []
_ports_given = set()


def spawn(argv, log_path, env=None, cwd=None, max_files=None, on_death=signal.SIGKILL):
    """Start argv in a session of its own (so that a Ctrl-C meant for us does not reach it),
    output appended to log_path.  It is killed when the thread that started it ends, whatever
    the reason: start processes from the main thread."""

    def before_exec():
        _libc.prctl(PR_SET_PDEATHSIG, on_death, 0, 0, 0)
        if max_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))

    with open(log_path, "ab") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                 cwd=cwd, preexec_fn=before_exec, start_new_session=True)
    _running.append(child)
    return child


def end(child, how=signal.SIGTERM, seconds=20):
    """Signal the child and wait; SIGKILL when it takes too long.  Its exit code, None if it
    had to be killed for that reason."""
    if child.poll() is None:
        child.send_signal(how)
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        code = None
    if child in _running:
        _running.remove(child)
    return code


@atexit.register
def _end_all():
    for child in list(_running):
        end(child, signal.SIGKILL)


def can_listen(port, address="127.0.0.1"):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
            s.listen(1)
        except OSError:
            return False
    return True


def free_port(preferred=None, address="127.0.0.1"):
    """A port to listen on, never given before; below the range that the kernel takes for
    outgoing connections, or else one of those could occupy it while a server restarts."""
    candidates = [preferred] if preferred else []
    candidates += random.sample(range(20000, 32000), 200)
    for port in candidates:
        if port not in _ports_given and can_listen(port, address):
            _ports_given.add(port)
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def wait_until(claim, seconds=10, what=None, every=0.02):
    """Wait until claim() is true and return its value; TimeoutError naming `what` if it stays
    false.  Exceptions of the last attempt are part of the message."""
    deadline = time.monotonic() + seconds
    trouble = None
    while True:
        try:
            value = claim()
            trouble = None
            if value:
                return value
        except Exception as e:          # servers that are just starting answer in many ways
            trouble = e
        if time.monotonic() > deadline:
            text = what or getattr(claim, "__name__", "condition")
            because = f" ({trouble})" if trouble else ""
            raise TimeoutError(f"after {seconds} s still not: {text}{because}")
        time.sleep(every)


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def open_sockets(pid):
    """How many sockets a process holds."""
    held = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            held += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:           # closed meanwhile
            pass
    return held


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def random_bytes(count, seed):
    """Bytes that look random and are the same every time."""
    out = b""
    while len(out) < count:
        seed = hashlib.sha256(str(seed).encode()).digest()
        out += seed
    return out[:count]


def tcp_count(state, local=None, remote=None):
    """How many TCP sockets of this machine are in a state with these ports.  The entry of a
    closed connection exists on one side only: local= tells whose it is."""
    wanted = {"ESTAB": "01", "TIME-WAIT": "06", "CLOSE-WAIT": "08", "FIN-WAIT-2": "05"}[state]
    count = 0
    with open("/proc/net/tcp") as f:
        for line in list(f)[1:]:
            fields = line.split()
            ports = [int(f.rpartition(":")[2], 16) for f in fields[1:3]]
            count += (fields[3] == wanted and local in (None, ports[0])
                      and remote in (None, ports[1]))
    return count
