"""TLS with clients, on the wire: what is believed, what breaks off, records of all sizes."""
import concurrent.futures
import contextlib
import hashlib
import os
import random
import socket
import ssl
import struct
import time

import pytest

from certificates import tls_settings
from conftest import DIRECT
from processes import wait_until
from volvox import Volvox, settings_for
from wire import (COM_PING, COM_QUERY, FOUND_ROWS, MODERN, NATIVE, SESSION_TRACK, SSL, Client, Closed,
                  ServerError, frame, frames, native_token, read_error, read_ok, trusting)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")


@pytest.fixture(scope="module")
def cluster(tls_cluster):
    return tls_cluster


@pytest.fixture(scope="module")
def one_volvox(cluster, authority, tmp_path_factory):
    volvox = Volvox(tls_settings(cluster, authority, tmp_path_factory.mktemp("volvox") / "s")).start()
    yield volvox
    volvox.stop()


@pytest.fixture
def volvox(one_volvox):
    yield one_volvox
    one_volvox.check()


# ---- what is believed ----------------------------------------------------------------------------------

def databases(cluster):
    return {row[0] for row in cluster.primary.query("show databases")}


@pytest.mark.parametrize("kind", ["query", "login and query", "after the hello"])
def test_what_comes_in_clear_behind_the_request_is_never_executed(cluster, volvox, kind):
    query = frame(0, bytes([COM_QUERY]) + b"create database injected")
    with volvox.counting() as counted, Client(volvox.port, login=False) as c:
        behind = {"query": query, "login and query": frame(2, c.login_payload()) + query,
                  "after the hello": b""}[kind]
        if kind == "after the hello":
            context = trusting()
            bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(bio_in, bio_out)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            c.send_raw(frame(1, c.ssl_request()) + bio_out.read() + query)
            assert c.is_closed()
        else:
            with pytest.raises((ssl.SSLError, OSError, Closed)):
                c.start_tls(behind=behind)
                c.login()
                c.query("select 1")
    assert "injected" not in databases(cluster)
    assert counted["commands_primary"] == 0 and counted["logins_ok"] == 0
    with Client(volvox.port, tls=True) as c:
        assert c.query("select 1").value() == b"1"


def test_the_flag_alone_asks_for_tls(cluster, volvox):
    """A login that comes whole in clear, with the flag: servers wait for TLS, and read it again."""
    for port in (volvox.port, cluster.primary.port):
        with Client(port, login=False) as c:
            c.caps |= SSL
            c.send(c.login_payload())
            c.sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                c.recv()
            c.sock.settimeout(10)
            c.sock = trusting().wrap_socket(c.sock)
            c.login()
            assert c.query("select 1").value() == b"1"


@pytest.mark.parametrize("change", ["same", "no flag", "more flags", "fewer flags", "another collation"])
def test_the_second_packet_counts_and_must_agree_as_servers_want(cluster, volvox, change):
    def outcome(port):
        with Client(port, login=False) as c:
            c.start_tls(**({"charset": 8} if change == "another collation" else {}))
            c.caps = {"no flag": MODERN, "more flags": MODERN | SSL | FOUND_ROWS,
                      "fewer flags": (MODERN | SSL) & ~SESSION_TRACK}.get(change, c.caps)
            try:
                c.login()
                return c.query("select @@collation_connection").value()
            except ServerError as e:
                return e.args

    assert outcome(volvox.port) == outcome(cluster.primary.port)


def test_asking_twice_or_out_of_order_is_refused(cluster, volvox):
    def twice(port):
        with Client(port, login=False) as c:
            c.start_tls()
            c.send(c.ssl_request())
            return read_error(c.recv()).args

    def out_of_order(port):
        with Client(port, login=False) as c:
            c.start_tls()
            c.seq = 7
            c.send(c.login_payload())
            c.seq = c.seq if port == volvox.port else c.seq
            number, payload = c.recv_frame()
            return read_error(payload).args

    assert twice(volvox.port) == twice(cluster.primary.port)
    assert out_of_order(volvox.port) == out_of_order(cluster.primary.port)


def test_garbage_instead_of_a_handshake_is_refused_as_servers_do(cluster, volvox):
    def told(port):
        with Client(port, login=False) as c:
            c.send_raw(frame(1, c.ssl_request()) + b"garbage, garbage, garbage\n" * 20)
            data = b""
            with contextlib.suppress(OSError):
                while piece := c.sock.recv(4096):
                    data += piece
            return data

    assert told(volvox.port).endswith(told(cluster.primary.port))


def hello():
    """A ClientHello."""
    context, bio = trusting(), ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), bio)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return bio.read()


def test_handshakes_that_break_off_or_go_wrong_harm_nobody(volvox):
    chance = random.Random(27)
    opening = hello()
    with volvox.counting() as counted, Client(volvox.port, tls=True) as witness:
        for i in range(60):
            with Client(volvox.port, login=False) as c:
                request = frame(1, c.ssl_request())
                data = bytearray(request + opening + chance.randbytes(chance.randrange(300)))
                for _ in range(chance.randrange(4)):
                    data[chance.randrange(len(request), len(data))] = chance.randrange(256)
                c.send_raw(bytes(data[:chance.randrange(len(request), len(data))]))
                if i % 3:
                    c.sock.shutdown(socket.SHUT_WR)
                if i % 2:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for i in range(40):                 # and within TLS, at each stage of the login
            with Client(volvox.port, login=False, tls=True) as c:
                payload = c.login_payload()
                data = bytearray(frame(2, payload))
                for _ in range(1 + chance.randrange(6)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                with contextlib.suppress(OSError):
                    c.send_raw(bytes(data[:chance.randrange(1, len(data) + 1)]))
        assert witness.query("select 1").value() == b"1"
    assert counted["tls_from_clients_failed"] > 10
    wait_until(lambda: volvox.status()["sessions"] == 0, 15, "all of them are gone")


def test_a_handshake_that_is_not_finished_ends_at_the_deadline(cluster, start_volvox):
    volvox = start_volvox(settings_for(cluster, login_timeout="500ms", linger="300ms"))
    for opening in (b"", hello()):
        with Client(volvox.port, login=False) as c:
            c.send_raw(frame(1, c.ssl_request()) + opening)
            began = time.monotonic()
            assert c.is_closed(10)
            assert time.monotonic() - began > 0.3


# ---- data --------------------------------------------------------------------------------------------

def test_a_command_in_the_same_record_as_the_login_is_served(volvox):
    """Nobody but TLS knows of it: the socket has nothing to tell."""
    for _ in range(20):
        with Client(volvox.port, plugin=NATIVE, login=False, tls=True) as c:
            token = native_token(c.password, c.greeting.scramble)
            login, _ = frames(c.seq, c.login_payload(token=token, plugin=NATIVE))
            c.send_raw(login + frame(0, bytes([COM_PING])) + frame(0, bytes([COM_QUERY]) + b"select 5"))
            answers = []
            while len(answers) < 2:
                _, packet = c.recv_frame()
                if packet[0] == 0x00:
                    answers.append(read_ok(packet, c.caps))
            c.seq = 1
            assert c.read_result().value() == b"5"


def test_many_commands_in_one_record_are_all_served(volvox):
    with Client(volvox.port, tls=True) as c:
        count = 500
        c.send_raw(b"".join(frame(0, bytes([COM_QUERY]) + b"select %d" % i) for i in range(count)))
        for i in range(count):
            c.seq = 1
            assert c.read_result().value() == b"%d" % i


def test_large_packets_pass_both_ways(cluster, volvox):
    size = (1 << 24) + 12345                    # more than one frame
    cluster.primary.query("create table if not exists shop.big (id int primary key, data longblob)")
    with Client(volvox.port, tls=True, db="shop", timeout=60) as c:
        c.query("delete from big")
        text = b"x" * size
        assert c.query(b"insert into big values (1, '" + text + b"')").affected == 1
        assert c.query("select length(data), sha2(data, 256) from big").rows == [
            [b"%d" % size, hashlib.sha256(text).hexdigest().encode()]]
        assert c.query("select data from big").value() == text


def test_a_slow_reader_holds_up_itself_only(volvox):
    with Client(volvox.port, tls=True, receive_buffer=4096) as slow, Client(volvox.port, tls=True) as c:
        slow.command(COM_QUERY, b"select repeat('x', 8000000)")
        for _ in range(20):
            assert c.query("select 1").value() == b"1"
        assert len(slow.read_result().value()) == 8000000


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_in_the_middle_of_a_statement_is_noticed(cluster, volvox, politely):
    def running():
        return cluster.primary.value("select count(*) from information_schema.processlist "
                                     "where info like 'select sleep(27%'")

    c = Client(volvox.port, tls=True)
    c.command(COM_QUERY, b"select sleep(27)")
    wait_until(lambda: running() == 1, 10, "it runs")
    if politely:
        c.sock.settimeout(0.2)
        with contextlib.suppress(OSError):
            c.sock = c.sock.unwrap()            # says goodbye
    c.close()
    wait_until(lambda: running() == 0, 10, "it has been killed")


def test_a_client_that_waits_is_not_taken_for_one_that_left(volvox):
    """Records of TLS's own, such as the half of one, mean nothing."""
    with Client(volvox.port, tls=True) as c:
        c.command(COM_QUERY, b"select sleep(0.5)")
        os.write(c.sock.fileno(), b"\x17\x03\x03")      # the head of a record that never comes
        assert c.read_result().value() == b"0"


def test_many_log_in_at_once(volvox):
    context = trusting()
    count = 150

    def visit(_):
        with Client(volvox.port, tls=context, timeout=60) as c:
            return c.query("select connection_id()").value()

    with volvox.counting() as counted, concurrent.futures.ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(visit, range(count)))
    assert len(set(ids)) == count
    assert counted["tls_from_clients"] == count
