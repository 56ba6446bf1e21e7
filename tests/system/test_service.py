"""What a service manager hears of a pool that it has started as systemd starts a unit with Type=notify and WatchdogSec=."""
import os
import signal
import socket
from unittest import mock

from adit import EMBEDDED_SOURCE, Pool
from processes import InteropTest

DEADLINE = 180  # For whatever a test waits for: this machine may be busy.


class Service(InteropTest):
    def test_a_pool_is_ready_then_alive_then_stopping(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(self.folder / "notify"))
        manager.settimeout(DEADLINE)
        hear = lambda: manager.recv(256).decode()
        with mock.patch.dict(os.environ, {"NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "2000000"}):
            pool = Pool(self, EMBEDDED_SOURCE, threads=2)
        self.assertEqual(hear(), "READY=1")
        self.wait_until("the log says that it listens", lambda: pool.events("pool.listening"), DEADLINE)
        self.assertEqual(hear(), "WATCHDOG=1")
        self.assertEqual(hear(), "WATCHDOG=1")
        pool.process.is_to_run = False
        pool.process.child.send_signal(signal.SIGTERM)
        while (state := hear()) == "WATCHDOG=1":
            pass
        self.assertEqual(state, "STOPPING=1")
        self.assertEqual(pool.process.child.wait(DEADLINE), 0)
        manager.setblocking(False)
        self.assertRaises(BlockingIOError, hear)
