"""HAProxy in TCP mode with one thread, to compare with."""
import pathlib
import subprocess

from processes import can_listen, end, free_port, spawn, wait_until

CONFIG = """\
global
    nbthread 1
    maxconn {most}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen main
    bind 127.0.0.1:{port}
    server db1 127.0.0.1:{server}
"""


class HAProxy:
    def __init__(self, directory, server_port, most=4000):
        self.directory, self.server_port, self.most = pathlib.Path(directory), server_port, most
        self.port, self.child = free_port(), None

    @staticmethod
    def version():
        return subprocess.check_output(["haproxy", "-v"], text=True).split(" 20")[0]

    def __enter__(self):
        path = self.directory / "haproxy.cfg"
        path.write_text(CONFIG.format(port=self.port, server=self.server_port, most=self.most))
        # -db: in the foreground and one process, whose time is all there is.
        self.child = spawn(["haproxy", "-db", "-f", str(path)], self.directory / "haproxy.log")
        wait_until(lambda: not can_listen(self.port), 10, "haproxy listens")
        return self

    def __exit__(self, *_):
        end(self.child)
