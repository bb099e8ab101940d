"""Take the steps of a session on a connection and write down every answer."""
import re
import struct

from wire import (COM_INIT_DB, COM_RESET, COM_SET_OPTION, COM_STMT_RESET, LONG_DATA, Client, Closed,
                  ServerError)

PASSWORDS = {"app": "app-secret", "other": "other-secret", "wrong": "not this one"}
WAS_SLOW = 0x0800
CONNECTION_GONE = ("gone",)


def definition(column, rows=(), i=0):
    """Without the type of a user variable that is NULL.  One that was never set is a text; where somebody else
    had set it before, it is NULL of that type, and only a reset of the connection, which a session that is in a
    transaction can't have, would undo that."""
    is_null = all(row[i] is None for row in rows or ())
    return "a variable" if column.name.startswith(b"@") and column.name[1:2] != b"@" and is_null else column.raw


def is_about_unset(column, definitions):
    """CHARSET() or COLLATION() beside a variable that is NULL: that of its type."""
    return column.name.lower().startswith((b"charset(@", b"collation(@")) and "a variable" in definitions


def steady_value(value):
    """As steady(): errors are rows of SHOW WARNINGS."""
    return steady(value.decode("latin1")).encode("latin1") if isinstance(value, bytes) and len(value) < 500 else value


def plain(result):
    """A result as something that can be compared and printed."""
    parts = []
    for r in [result, *result.more]:
        definitions = [definition(c, r.rows, i) for i, c in enumerate(r.columns or ())]
        columns = None if r.columns is None else [(c.name, d) for c, d in zip(r.columns, definitions)]
        unset = [is_about_unset(c, definitions) for c in r.columns or ()]
        rows = [[None if u else steady_value(v) for v, u in zip(row, unset)] for row in r.rows] if r.rows else r.rows
        parts.append(("ok" if columns is None else "rows", columns, rows,
                      r.affected, r.insert_id, r.status & ~WAS_SLOW, r.warnings, r.info, sorted(r.track)))
    return tuple(parts)


def steady(message):
    """Without what differs by itself: a statement's number, the row that an earlier statement left."""
    return re.sub(r"at row \d+|(?<=statement \()\d+|(?<=handler \()\d+", "N", message)


class Talk:
    """One session's connection, and what it has prepared."""

    def __init__(self, port, schema):
        self.port, self.schema = port, schema
        self.client, self.statements = None, {}

    def take(self, step):
        """The answer to one step."""
        kind, *args = step
        try:
            if self.client is None and kind != "connect":
                return CONNECTION_GONE
            return getattr(self, kind)(*args)
        except ServerError as e:
            if kind == "connect":
                self.client = None
            return ("error", e.code, e.state, steady(e.message))
        except (Closed, ConnectionError):
            self.drop()
            return ("closed",)

    def drop(self):
        if self.client is not None:
            self.client.close()
        self.client, self.statements = None, {}

    # ---- steps

    def connect(self, caps, charset):
        self.drop()
        self.client = Client(self.port, caps=caps, charset=charset, db=self.schema, timeout=120)
        return plain(self.client.login_ok)

    def quit(self):
        self.client.quit()
        self.client = None
        return ("quit",)

    def query(self, sql):
        return plain(self.client.query(sql))

    def load(self, sql, data):
        self.client.local_file = lambda name: data.encode()
        return plain(self.client.query(sql))

    def prepare(self, handle, sql):
        self.statements.pop(handle, None)
        s = self.statements[handle] = self.client.prepare(sql)
        return ("prepared", [c.raw for c in s.params], [definition(c) for c in s.columns], s.warnings)

    def execute(self, handle, values, cursor, types):
        s = self.statements.get(handle)
        if s is None or len(values) != len(s.params):
            return ("nothing to execute",)
        values = [LONG_DATA if v == "<long>" else v for v in values]
        result = self.client.execute(s, values, cursor, types)
        if result.columns is not None:
            s.columns = result.columns
        return plain(result)

    def fetch(self, handle, count):
        s = self.statements.get(handle)
        return ("nothing to fetch",) if s is None else plain(self.client.fetch(s, count))

    def close(self, handle):
        s = self.statements.pop(handle, None)
        if s is not None:
            self.client.close_statement(s)
        return ("closed it",)

    def reset_statement(self, handle):
        s = self.statements.get(handle)
        if s is None:
            return ("nothing to reset",)
        return plain(self.client.simple(COM_STMT_RESET, struct.pack("<I", s.id)))

    def long_data(self, handle, param, data):
        s = self.statements.get(handle)
        if s is not None:
            self.client.long_data(s, param, data.encode())
        return ("sent",)

    def ping(self):
        return plain(self.client.ping())

    def init_db(self, name):
        return plain(self.client.simple(COM_INIT_DB, name.encode()))

    def reset(self):
        answer = plain(self.client.simple(COM_RESET))
        self.statements = {}
        return answer

    def set_option(self, option):
        return plain(self.client.simple(COM_SET_OPTION, struct.pack("<H", option)))

    def field_list(self, table):
        return ("fields", [c.raw for c in self.client.field_list(table)])

    def unknown(self):
        return plain(self.client.simple(0x77))

    def change_user(self, user, charset):
        self.statements = {}
        return plain(self.client.change_user(user, PASSWORDS[user], self.schema, charset))
