#!/usr/bin/env python3
"""A headless Chromium: for tests of the dashboard, and for pictures of it that somebody looks at.

    tests/e2e/screenshot.py URL FILE.png [--width 1400] [--height 0] [--dark] [--seconds 20]

Height 0 takes the whole page.  Talks to the browser through --remote-debugging-pipe: JSON, each
message ended by a NUL, on the descriptors 3 and 4.  Debian's package is `chromium`.
"""
import argparse
import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--hide-scrollbars", "--remote-debugging-pipe"]


def objection():
    """Why there can be no browser, or None."""
    return None if shutil.which("chromium") else "chromium is not installed"


class Browser:
    """One tab.  What the page complains of (exceptions, errors of the console, what its security
    policy refused) is collected in `complaints`."""

    def __init__(self, width=1400, height=1000, dark=False):
        self.directory = tempfile.mkdtemp(prefix="volvox-browser-")
        self.complaints, self.serial, self.buffer, self.session = [], 0, b"", None
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()
        command = 'exec "$@" 3<&%d 4>&%d' % (theirs_in, theirs_out)
        self.child = subprocess.Popen(
            ["bash", "-c", command, "bash", "chromium", *FLAGS, f"--user-data-dir={self.directory}"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    # ---- the pipe -----------------------------------------------------------------------

    def _read(self, deadline):
        """The next message, or None at the deadline."""
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                return None
            data = os.read(self.back, 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def _notice(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(a.get("value")) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def call(self, method, seconds=30, **params):
        self.serial += 1
        message = {"id": self.serial, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while (answer := self._read(deadline)) is not None:
            if answer.get("id") == self.serial:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._notice(answer)
        raise TimeoutError(method)

    # ---- what a visitor does --------------------------------------------------------------

    def open(self, url):
        self.call("Page.navigate", url=url)

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while (message := self._read(deadline)) is not None:
            self._notice(message)

    def value(self, expression):
        """Of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait_until(self, expression, seconds=20):
        deadline = time.monotonic() + seconds
        while not (found := self.value(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {expression}\n{self.complaints}")
            self.wait(.2)
        return found

    def picture(self, path, whole=True):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        if self.child is None:
            return
        self.session = None
        with contextlib.suppress(Exception):
            self.call("Browser.close", seconds=5)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child = None
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("url")
    parser.add_argument("file")
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--height", type=int, default=0)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    if objection():
        sys.exit(objection())
    with Browser(args.width, args.height or 1000, args.dark) as browser:
        browser.open(args.url)
        browser.wait(args.seconds)
        browser.picture(args.file, whole=args.height == 0)
        for complaint in browser.complaints:
            print("the page says:", complaint)


if __name__ == "__main__":
    main()
