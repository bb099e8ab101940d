"""Bad input from clients and from servers: an error or a closed connection, never more."""
import random
import socket
import struct
import time

import pytest

from conftest import DIRECT
from fake import FakeServer, error_payload, greeting_payload, ok_payload, result_set
from processes import random_bytes, wait_until
from servers import APP, OTHER
from volvox import settings_for
from wire import (COM_CHANGE_USER, COM_FIELD_LIST, COM_INIT_DB, COM_QUERY, COM_SET_OPTION,
                  COM_STMT_CLOSE, COM_STMT_EXECUTE, COM_STMT_FETCH, COM_STMT_LONG_DATA,
                  COM_STMT_PREPARE, COM_STMT_RESET, CONNECT_ATTRS, CONNECT_WITH_DB, FULL, LOCAL_FILES,
                  MODERN, SSL, Client, Closed, ServerError, frame, frames, lenenc, lenstr, read_error)

BAD = (ServerError, Closed, ConnectionError, ValueError, TimeoutError)


def serves(port, who=APP):
    """Others are served at once."""
    with Client(port, *who, timeout=10) as c:
        assert c.query("select 12345").value() == b"12345"


def connected(place):
    s = socket.create_connection(("127.0.0.1", place.port))
    s.settimeout(5)
    return s


def is_left_alone(sock):
    """The other side ends the connection, or answers and goes on: both are fine, hanging while
    eating the processor is what serves() would notice."""
    sock.settimeout(0.2)
    try:
        while sock.recv(65536):
            pass
    except OSError:
        pass
    sock.close()


# ---- clients, before login ---------------------------------------------------------------------

GARBAGE = {
    "nothing at all": b"",
    "one byte": b"\x01",
    "half a header": b"\x20\x00",
    "a header and no more": b"\x20\x00\x00\x01",
    "an empty packet": b"\x00\x00\x00\x01",
    "an enormous length": b"\xff\xff\xff\x01" + b"x" * 1000,
    "a wrong number": frame(7, b"x" * 40),
    "zeroes": bytes(2000),
    "ones": b"\xff" * 2000,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 500,
    "a short login": frame(1, b"\x05\xa2\x3a\x00"),
    "an SSL request that was not offered": frame(1, struct.pack("<IIB", MODERN | SSL, 1 << 24, 45) + bytes(23)),
    "a command instead of a login": frame(0, b"\x03select 1"),
    "random bytes": random_bytes(3000, 1),
    "a login of 16 MB": frames(1, b"\x05\xa2\x3a\x01" + b"x" * (FULL + 100))[0],
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_instead_of_a_login_harms_nobody(mariadb, what):
    s = connected(mariadb)
    try:
        s.sendall(GARBAGE[what])
    except ConnectionError:
        pass
    serves(mariadb.port)
    is_left_alone(s)
    serves(mariadb.port)


def test_a_login_cut_at_every_byte_harms_nobody(mariadb):
    with mariadb.client(login=False, db="shop", attributes={"a": "b"}) as c:
        whole = frame(1, c.login_payload())
    for cut in range(len(whole)):
        with connected(mariadb) as s:
            s.sendall(whole[:cut])
    serves(mariadb.port)


def test_a_login_whose_packet_ends_at_every_byte_is_an_error(mariadb):
    """The frame says that this is all there is."""
    with mariadb.client(login=False, db="shop", attributes={"a": "b"}) as c:
        payload = c.login_payload()
    for cut in range(len(payload)):
        with mariadb.client(login=False) as c:
            c.send(payload[:cut])
            try:
                c.finish_login(c.greeting.scramble)
                served = True
            except BAD:
                served = False
            # Any end before the attributes leaves a wrong or missing proof.
            assert not served or cut > len(payload) - 10
    serves(mariadb.port)


def login_with(port, change):
    with Client(port, login=False, timeout=5) as c:
        try:
            c.send(change(c, c.login_payload()))
            c.finish_login(c.greeting.scramble)
            c.query("select 1")
        except BAD:
            pass


def test_logins_with_lying_lengths_harm_nobody(mariadb):
    head = struct.pack("<IIB", MODERN | CONNECT_WITH_DB | CONNECT_ATTRS, 1 << 24, 45) + bytes(23)
    for rest in (b"app", b"app\0\xff", b"app\0\x14short", b"app\0\x00" + b"x" * 1000,
                 b"app\0\x00db\0plugin\0\xfe" + b"\xff" * 8, b"app\0\x00db\0plugin\0\xfd\xff\xff\xff",
                 b"app\0\x00db\0plugin\0" + lenenc(100) + b"x",
                 b"app\0\x00db\0plugin\0" + lenstr(lenenc(1 << 40)),
                 b"x" * 70000 + b"\0\0", b"app\0\0" + b"d" * 70000 + b"\0", b"\0\0\0\0\0\0"):
        login_with(mariadb.port, lambda c, payload: head + rest)
    serves(mariadb.port)


def test_logins_with_random_changes_harm_nobody(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, login_failures=0))  # as fast as they come
    r = random.Random(4)
    for _ in range(300):
        def change(c, payload):
            data = bytearray(payload)
            for _ in range(r.randrange(1, 6)):
                data[r.randrange(len(data))] = r.randrange(256)
            return bytes(data)
        login_with(volvox.port, change)
    serves(volvox.port)


def test_garbage_in_the_exchange_of_passwords_harms_nobody(mariadb):
    for answer in (b"", b"\x02", b"\x01", b"x" * 19, b"x" * 21, b"x" * 256, b"\xff" * 70000):
        with mariadb.client(login=False, plugin="no_such_plugin", timeout=1) as c:
            c.send(c.login_payload(token=b"abc"))
            try:
                while c.recv()[0] != 0xFF:
                    c.send(answer)
            except BAD:
                pass
            try:
                c.query("select 1")
                pytest.fail("logged in with garbage")
            except BAD:
                pass
    serves(mariadb.port)


# ---- clients, after login ----------------------------------------------------------------------

COMMANDS = {
    "an empty command": b"",
    "QUERY without text": bytes([COM_QUERY]),
    "INIT_DB without a name": bytes([COM_INIT_DB]),
    "FIELD_LIST without a NUL": bytes([COM_FIELD_LIST]) + b"items",
    "FIELD_LIST without anything": bytes([COM_FIELD_LIST]),
    "SET_OPTION cut": bytes([COM_SET_OPTION]) + b"\0",
    "PREPARE without text": bytes([COM_STMT_PREPARE]),
    "EXECUTE cut": bytes([COM_STMT_EXECUTE]) + b"\1\0",
    "EXECUTE of nothing": bytes([COM_STMT_EXECUTE]) + struct.pack("<IBI", 0, 0, 1),
    "EXECUTE of a strange id": bytes([COM_STMT_EXECUTE]) + struct.pack("<IBI", 0xFFFFFFFE, 0, 1),
    "EXECUTE of the last one": bytes([COM_STMT_EXECUTE]) + struct.pack("<IBI", 0xFFFFFFFF, 0, 1),
    "RESET cut": bytes([COM_STMT_RESET]) + b"\1",
    "FETCH cut": bytes([COM_STMT_FETCH]) + b"\1\0\0\0",
    "CHANGE_USER without anything": bytes([COM_CHANGE_USER]),
    "CHANGE_USER with a lying length": bytes([COM_CHANGE_USER]) + b"other\0\xffabc",
    "CHANGE_USER without a NUL": bytes([COM_CHANGE_USER]) + b"other",
    "SLEEP": b"\0", "CONNECT": b"\x0b", "TIME": b"\x0f", "DELAYED_INSERT": b"\x10",
    "BINLOG_DUMP cut": b"\x12\0", "TABLE_DUMP": b"\x13\xff\xff", "REGISTER_SLAVE cut": b"\x15\0",
    "DAEMON": b"\x1d", "BINLOG_DUMP_GTID cut": b"\x1e\0", "PROCESS_KILL cut": b"\x0c\1",
    "REFRESH without flags": b"\x07", "BULK_EXECUTE cut": b"\xfa\1\0",
    "random bytes": random_bytes(500, 2),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_malformed_command_gets_an_error_or_the_door(place, what):
    with place.client(db="shop", timeout=5) as c:
        try:
            c.seq = 0
            c.send(COMMANDS[what])
            while True:
                c.recv()
                c.seq = 0
                c.send(b"\x0e")
                c.recv()
                break
        except BAD:
            pass
    serves(place.port)


@pytest.mark.parametrize("code", [COM_STMT_CLOSE, COM_STMT_LONG_DATA])
@pytest.mark.parametrize("payload", [b"", b"\1", b"\1\0\0\0", b"\xff" * 4, b"\xff" * 6 + b"data"])
def test_malformed_commands_without_an_answer_are_survived(place, code, payload):
    with place.client(timeout=5) as c:
        c.command(code, payload)
        try:
            c.query("select 1")
        except BAD:
            pass
    serves(place.port)


def test_execute_packets_with_random_changes_harm_nobody(mariadb):
    r = random.Random(5)
    c = None
    for _ in range(400):
        if c is None:
            c = mariadb.client(timeout=5)
            s = c.prepare("select ?, ?, ?")
        payload = bytearray(struct.pack("<IBI", s.id, 0, 1) + b"\0\1\xfd\0\x08\0\xfd\0" + lenstr(b"abc")
                            + struct.pack("<q", 5) + lenstr(b"x" * 300))
        for _ in range(r.randrange(1, 5)):
            payload[r.randrange(4, len(payload))] = r.randrange(256)
        if r.random() < 0.3:
            del payload[r.randrange(9, len(payload)):]
        try:
            c.command(COM_STMT_EXECUTE, bytes(payload))
            c.read_result(binary=True)
        except ServerError:
            pass
        except (BAD, UnicodeDecodeError, IndexError, KeyError):
            c.close()
            c = None
    serves(mariadb.port)


@pytest.mark.parametrize("seq", [1, 2, 77, 255])
def test_a_command_with_a_wrong_sequence_number_is_not_run(place, seq):
    with place.client(timeout=5) as c:
        c.send_frame(seq, b"\x03insert into shop.items (name) values ('out of order')")
        try:
            c.seq = (seq + 1) & 255
            c.recv()
        except BAD:
            pass
    assert place.primary.value("select count(*) from shop.items where name = 'out of order'") == 0
    serves(place.port)


def test_a_second_frame_with_a_wrong_sequence_number_is_an_error(mariadb):
    with mariadb.client(timeout=5) as c:
        c.send_frame(0, b"\x03select '".ljust(FULL, b"x"))
        c.send_frame(5, b"x'")
        with pytest.raises(BAD):
            c.seq = 1
            c.recv()
            c.query("select 1")
    serves(mariadb.port)


def test_a_command_larger_than_any_limit_is_refused(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, max_packet="1M"))
    with Client(volvox.port, timeout=10) as c:
        s = c.prepare("select ?")
        try:
            c.execute(s, ["x" * (40 << 20)])
        except BAD:
            pass
    serves(volvox.port)


MIDDLES = ["a command's header", "a command", "a long command", "an answer", "a long answer", "a transaction",
           "LOAD DATA LOCAL", "a fetch", "long data", "pipelined commands", "a change of user"]


@pytest.mark.parametrize("what", MIDDLES)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_client_that_stops_in_the_middle_harms_nobody(place, what, reset):
    for _ in range(3):
        c = place.client(db="shop", caps=MODERN | LOCAL_FILES)
        if what == "a command's header":
            c.send_raw(b"\x20\0")
        elif what == "a command":
            c.send_raw(frame(0, b"\x03select 1")[:-3])
        elif what == "a long command":
            c.send_raw(frame(0, b"\x03select '".ljust(FULL, b"x")))
        elif what == "an answer":
            c.command(COM_QUERY, b"select sleep(0.1)")
        elif what == "a long answer":
            c.command(COM_QUERY, b"select repeat('x', 30000000)")
            c.recv_frame()
        elif what == "a transaction":
            c.query("begin")
            c.query("insert into items (name) values ('stopped')")
        elif what == "LOAD DATA LOCAL":
            c.query("create temporary table test.stopped (a int)")
            c.command(COM_QUERY, b"load data local infile 'x' into table test.stopped")
            assert c.recv()[0] == 0xFB
            c.send(b"1\n2\n")
        elif what == "a fetch":
            s = c.prepare("select id from items")
            c.execute(s, cursor=1)
            c.command(COM_STMT_FETCH, struct.pack("<II", s.id, 1))
        elif what == "long data":
            s = c.prepare("select ?")
            c.send_raw(frame(0, b"\x18" + struct.pack("<IH", s.id, 0) + b"x" * 1000)[:-100])
        elif what == "pipelined commands":
            c.send_raw(frame(0, b"\x03select sleep(0.05)") * 20)
        elif what == "a change of user":
            c.command(COM_CHANGE_USER, b"other\0\0\0\x2d\0no_such_plugin\0")
        if reset:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    serves(place.port)
    time.sleep(0.1)
    assert place.primary.value("select count(*) from shop.items where name = 'stopped'") == 0
    with place.client(db="shop") as after:
        after.query("set innodb_lock_wait_timeout = 5")
        assert after.query("update items set price = price where id = 1").rows is None


# ---- servers -----------------------------------------------------------------------------------

@pytest.fixture
def beside(mariadb, start_volvox):
    """A Volvox with a fake server for user `app` and real ones for user `other`."""
    if DIRECT:
        pytest.skip("needs Volvox")
    fake = FakeServer()
    settings = settings_for(mariadb.cluster, workers=1, monitor_interval="100ms", connect_timeout="400ms",
                            queue_timeout="800ms", monitor_timeout="1s")
    del settings["volvox"]["monitor_user"], settings["volvox"]["monitor_password"]
    settings["group strange"] = {}
    settings["server fake"] = {"address": f"127.0.0.1:{fake.port}", "role": "primary", "group": "strange"}
    for name in ("server db1", "server db2", "server db3", "user other"):
        settings[name]["group"] = "main"
    for name, role in (("db1", "primary"), ("db2", "replica"), ("db3", "replica")):
        settings[f"server {name}"]["role"] = role
    settings["user app"]["group"] = "strange"
    volvox = start_volvox(settings)
    yield fake, volvox
    fake.close()


def usable(volvox):
    with Client(volvox.port, timeout=5) as c:
        return c.query("select 1")


def is_an_error(volvox, sql="select 1", seconds=5):
    """The client gets an error or is closed, in time; then others are served."""
    began = time.monotonic()
    with pytest.raises((ServerError, Closed, ConnectionError)):
        with Client(volvox.port, timeout=seconds) as c:
            c.query(sql)
    assert time.monotonic() - began < seconds


@pytest.mark.slow
@pytest.mark.parametrize("at_end", ["close", "reset"])
def test_a_greeting_cut_at_every_byte_is_an_error(beside, at_end):
    fake, volvox = beside
    length = len(frame(0, greeting_payload()))
    for cut in range(1, length):
        def cut_short(connection, cut=cut):
            connection.budget, connection.at_end = cut, at_end
            connection.greet()
        fake.script = cut_short
        fake.close_connections()
        is_an_error(volvox)
    fake.script = fake.friendly
    wait_until(lambda: usable(volvox), 10, "a good server is used again")
    serves(volvox.port, OTHER)


@pytest.mark.slow
@pytest.mark.parametrize("at_end", ["close", "reset"])
def test_an_answer_to_our_login_cut_at_every_byte_is_an_error(beside, at_end):
    fake, volvox = beside
    for answer in (frame(2, ok_payload()), frame(2, error_payload(1045, "Access denied")),
                   frame(2, b"\xfemysql_native_password\0" + b"12345678" * 2 + b"1234\0")):
        for cut in range(1, len(answer)):
            def cut_short(connection, cut=cut):
                connection.greet()
                connection.recv()
                connection.budget, connection.at_end = cut, at_end
                connection.send_raw(answer)
            fake.script = cut_short
            fake.close_connections()
            is_an_error(volvox)
    fake.script = fake.friendly
    wait_until(lambda: usable(volvox), 10, "a good server is used again")
    serves(volvox.port, OTHER)


@pytest.mark.slow
@pytest.mark.parametrize("at_end", ["close", "reset"])
def test_a_response_cut_at_every_byte_is_an_error(beside, at_end):
    fake, volvox = beside
    wait_until(lambda: usable(volvox), 10, "the fake server is used")
    whole = result_set([[b"one", None], [b"two" * 100, b"x"]], names=(b"first", b"second"))
    for cut in range(len(whole)):
        def answer(connection, code, payload, cut=cut):
            if b"cut me" not in payload:
                return None
            connection.budget, connection.at_end = cut, at_end
            if cut == 0:
                connection.close()
            return whole
        fake.answer = answer
        is_an_error(volvox, "select 'cut me'")
    fake.answer = None
    wait_until(lambda: usable(volvox), 10, "a good server is used again")
    serves(volvox.port, OTHER)


WRONG_ANSWERS = {
    "a wrong number": frame(9, ok_payload()),
    "a number that stays": frame(1, lenenc(1)) + frame(1, b"x" * 30),
    "an empty packet": frame(1, b""),
    "a short OK": frame(1, b"\0"),
    "a lying OK": frame(1, b"\0\xfe\xff"),
    "a lying ERR": frame(1, b"\xff\x01"),
    "a column count of 2^60": frame(1, b"\xfe" + struct.pack("<Q", 1 << 60)),
    "a column count cut": frame(1, b"\xfc\x01"),
    "too many columns": frame(1, b"\x02") + frame(2, b"\x03def") + frame(3, b"\x03def"),
    "a column that is none": frame(1, b"\x01") + frame(2, b"\xff" * 40) + frame(3, b"\xfe\0\0\2\0"),
    "a local file nobody asked for": frame(1, b"\xfb/etc/passwd"),
    "random bytes": random_bytes(2000, 7),
    "zeroes": bytes(1000),
    "ones": b"\xff" * 3000,
    "an answer and more": frame(1, ok_payload()) + frame(1, ok_payload()) + b"\x07\0\0",
}


@pytest.mark.parametrize("what", WRONG_ANSWERS)
def test_a_wrong_answer_of_a_server_harms_nobody(beside, what):
    fake, volvox = beside
    wait_until(lambda: usable(volvox), 10, "the fake server is used")

    def answer(connection, code, payload):
        return WRONG_ANSWERS[what] if b"wrong answer" in payload else None
    fake.answer = answer
    try:
        with Client(volvox.port, timeout=3) as c:
            c.query("select 'wrong answer'")
    except TimeoutError:
        pytest.fail("the client waits for an answer that will not come")
    except BAD + (IndexError, KeyError, struct.error):
        pass
    fake.close_connections()
    fake.answer = None
    wait_until(lambda: usable(volvox), 10, "a good server is used again")
    serves(volvox.port, OTHER)


WRONG_GREETINGS = {
    "protocol 9": b"\x09" + greeting_payload()[1:],
    "an error": error_payload(1040, "Too many connections"),
    "an error without a state": b"\xff" + struct.pack("<H", 1129) + b"Host is blocked",
    "nothing in it": b"",
    "a version without end": b"\x0a" + b"5" * 3000,
    "no protocol 4.1": greeting_payload(caps=0),
    "an unknown plugin": greeting_payload(plugin="a_plugin_nobody_has"),
    "a very long plugin": greeting_payload(plugin="p" * 5000),
    "random bytes": random_bytes(200, 9),
}


@pytest.mark.parametrize("what", WRONG_GREETINGS)
def test_a_wrong_greeting_of_a_server_harms_nobody(beside, what):
    fake, volvox = beside

    def script(connection):
        connection.send(WRONG_GREETINGS[what])
        connection.recv()
        connection.send(ok_payload())
        connection.serve()
    fake.script = script
    fake.close_connections()
    for _ in range(3):
        try:
            with Client(volvox.port, timeout=5) as c:
                c.query("select 1")
        except BAD:
            pass
    fake.script = fake.friendly
    wait_until(lambda: usable(volvox), 10, "a good server is used again")
    serves(volvox.port, OTHER)


@pytest.mark.parametrize("after", ["accepting", "half a greeting", "the greeting", "the login"])
def test_a_silent_server_is_given_up_at_the_deadline(beside, after):
    fake, volvox = beside

    def silent(connection):
        if after == "half a greeting":
            connection.send_raw(frame(0, greeting_payload())[:20])
        elif after != "accepting":
            connection.greet()
        if after == "the login":
            connection.recv()
        time.sleep(30)
    fake.script = silent
    fake.close_connections()
    is_an_error(volvox)
    serves(volvox.port, OTHER)


def test_a_server_that_is_silent_after_a_query_does_not_block_others(beside):
    fake, volvox = beside
    wait_until(lambda: usable(volvox), 10, "the fake server is used")

    def answer(connection, code, payload):
        if b"be silent" in payload:
            time.sleep(5)
        return None
    fake.answer = answer
    waiting = [Client(volvox.port, timeout=10) for _ in range(5)]
    for c in waiting:
        c.command(COM_QUERY, b"select 'be silent'")
    began = time.monotonic()
    for _ in range(10):
        serves(volvox.port, OTHER)
        usable(volvox)
    assert time.monotonic() - began < 4
    for c in waiting:
        c.close()
    serves(volvox.port, OTHER)


def test_a_server_that_speaks_unasked_loses_its_connection(beside):
    fake, volvox = beside
    wait_until(lambda: usable(volvox), 10, "the fake server is used")
    for connection in fake.connections:
        try:
            connection.send_raw(frame(0, error_payload(4031, "The client was disconnected", "08S01")))
        except OSError:
            pass
    time.sleep(0.1)
    with Client(volvox.port) as c:
        c.query("select 1")
        assert c.query("select 2").rows is None       # the fake answers OK to everything
    serves(volvox.port, OTHER)


def test_one_clients_answer_never_reaches_another_when_servers_misbehave(beside):
    """The server sends one answer too many; it must not become the answer of the next client."""
    fake, volvox = beside
    wait_until(lambda: usable(volvox), 10, "the fake server is used")

    def answer(connection, code, payload):
        if b"twice" in payload:
            return result_set([[b"secret"]]) * 2
        if b"mine" in payload:
            return result_set([[b"mine"]])
        return None
    fake.answer = answer
    for _ in range(20):
        try:
            with Client(volvox.port, timeout=5) as a:
                a.query("select 'twice'")
        except BAD:
            pass
        try:
            with Client(volvox.port, timeout=5) as b:
                assert b.query("select 'mine'").value() == b"mine"
        except (ServerError, Closed, ConnectionError):
            pass
    serves(volvox.port, OTHER)


def test_a_flood_of_connections_that_say_nothing_leaves_room_for_others(mariadb):
    held = [connected(mariadb) for _ in range(500)]
    serves(mariadb.port)
    for s in held:
        s.close()
    serves(mariadb.port)


def test_an_error_in_login_is_readable(mariadb):
    with mariadb.client(login=False) as c:
        c.send(c.login_payload(token=b"x" * 20))
        packet = c.recv()
        while packet[0] == 0xFE:
            c.send(b"y" * 20)
            packet = c.recv()
        assert read_error(packet).code == 1045
