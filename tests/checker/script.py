"""Random sessions: lists of steps, made from a seed alone, so that they can be made again.

A step is a tuple (kind, ...) that talk.py knows how to take.  A session has a schema of its own
and names its locks after it, so what it sees does not depend on what others do: whatever differs
between a connection of its own and one through a proxy is the proxy's doing.
"""
import random

from wire import (BASE, DEPRECATE_EOF, FOUND_ROWS, IGNORE_SPACE, INTERACTIVE, LOCAL_FILES,
                  MULTI_STATEMENTS, SESSION_TRACK)

CAPS = [BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS | LOCAL_FILES,
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS,
        BASE | MULTI_STATEMENTS | LOCAL_FILES,
        BASE | DEPRECATE_EOF | MULTI_STATEMENTS | FOUND_ROWS,
        BASE | SESSION_TRACK | MULTI_STATEMENTS,
        BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS | IGNORE_SPACE | INTERACTIVE]
CHARSETS = [45, 45, 45, 33, 8, 28]             # utf8mb4, utf8mb3, latin1, gbk

# What a session finds in its schema.  (On MySQL `m` is InnoDB, too: whether a statement is warned of (6414) for
# using both engines there depends on what a write to MyISAM outside of any transaction left in the connection.)
SCHEMA = """
create table t (id int primary key auto_increment, a int, s varchar(20)) engine=innodb
create table u (k int primary key, v varchar(30)) engine=innodb
create table m (a int, b int) engine=myisam
insert into t (a, s) values (1, 'one'), (2, 'two'), (3, 'three'), (4, null)
insert into u values (1, 'x'), (2, 'y'), (3, 'z')
insert into m values (1, 10), (2, 20), (3, 30)
create procedure results() begin select 1 as a; select 2 as b, 3 as c; end
create procedure sets() begin set @p = 7; set session group_concat_max_len = 2000; end
create procedure makes() begin create temporary table if not exists pt (a int); insert into pt values (1); end
create procedure begins() begin start transaction; insert into t (a) values (77); end
create procedure outs(in x int, out y int) begin set y = x * 2; end
create procedure fails() begin insert into u values (50, 'f'); insert into u values (1, 'dup'); end
create function sets_f(x int) returns int deterministic no sql begin set @f = x; return x + 1; end
create function locks_f(n varchar(60)) returns int no sql begin return get_lock(n, 0); end
create function inserts_f(x int) returns int modifies sql data begin insert into t (a) values (x); return last_insert_id(); end
"""


def schema_for(family):
    return (SCHEMA if family == "mariadb" else SCHEMA.replace("myisam", "innodb")).strip().splitlines()


VARIABLES = {
    "sql_mode": ["''", "'ANSI_QUOTES'", "'NO_BACKSLASH_ESCAPES'", "'STRICT_TRANS_TABLES'",
                 "'STRICT_ALL_TABLES,NO_ZERO_DATE'", "'PIPES_AS_CONCAT'", "default", "'ANSI'"],
    "time_zone": ["'+00:00'", "'+05:30'", "'-08:00'", "default"],
    "group_concat_max_len": ["10", "4096", "default"],
    "sql_select_limit": ["1", "2", "default"],
    "div_precision_increment": ["2", "8", "default"],
    "lc_time_names": ["'de_DE'", "'en_US'", "'fr_FR'"],
    "sql_auto_is_null": ["0", "1"],
    "foreign_key_checks": ["0", "1"],
    "unique_checks": ["0", "1"],
    "max_sort_length": ["100", "default"],
    "sort_buffer_size": ["65536", "default"],
    "auto_increment_increment": ["1", "5", "default"],
    "default_week_format": ["0", "3"],
    "max_error_count": ["1", "default", "3"],
    "sql_safe_updates": ["0", "1"],
    "sql_big_selects": ["0", "1"],
    "collation_connection": ["'utf8mb4_bin'", "'latin1_swedish_ci'", "'utf8mb4_general_ci'"],
    "character_set_results": ["'latin1'", "'utf8mb4'", "null"],
    "character_set_client": ["'utf8mb4'", "'latin1'"],
    "wait_timeout": ["1000", "default"],
    "lock_wait_timeout": ["5", "default"],
    "tmp_table_size": ["1048576", "default"],
    "optimizer_prune_level": ["0", "1"],
    "last_insert_id": ["0", "4711"],
    "insert_id": ["100", "200"],
    "timestamp": ["1000000000", "default", "0"],
    "rand_seed1": ["5"],
    "rand_seed2": ["7"],
    "sql_notes": ["0", "1"],
    "sql_warnings": ["0", "1"],
    "big_tables": ["0", "1"],
}
UNSTEADY = {"timestamp", "insert_id", "rand_seed1", "rand_seed2"}     # differ by themselves
ISOLATIONS = ["read uncommitted", "read committed", "repeatable read", "serializable"]
NAMES = ["utf8mb4", "latin1", "utf8mb4 collate utf8mb4_bin", "latin1 collate latin1_german1_ci",
         "utf8mb3", "gbk", "default"]

READS = [
    "select * from t order by id", "select count(*), max(id) from t", "select k, v from u order by k",
    "select a, s from t where id = {n}", "select 'a' || 'b', \"q\" from dual", "select 1/3",
    "select group_concat(s order by id) from t", "select sum(a) from m",
    "select date_format('2020-03-01', '%M %W')", "select 'x' = 'X', collation('x'), charset('x')",
    "select a from t where id is null", "select v from u where k in (1, {n}) order by k",
    "select * from t order by id limit 2", "select sql_calc_found_rows id from t order by id limit 1",
    "table u", "select * from nowhere", "select a from t where id = 'abc'", "selec 1",
    "select cast('x1' as signed)", "select 1/0", "select now() = now(), unix_timestamp() > 1",
    "select from_unixtime(1000000000)", "select * from t union all select k, k, v from u order by 1, 3 limit 3",
    "with w as (select k from u) select count(*) from w", "explain select * from u where k = 1",
    "select 'o\\'k', 'a\\\\b'", "select week('2020-01-05')", "values row (1, 2)", "show tables",
    "select database(), user() like 'a%'", "select s from t order by s, id", "do 1", "do sleep(0)",
    "select length(repeat('y', 20000))", "select repeat('y', 70000)",
]
ASKS = [
    "select last_insert_id()", "select last_insert_id(), 1 as one", "select @@last_insert_id, @@identity",
    "select row_count()", "select found_rows()", "select row_count(), found_rows(), last_insert_id()",
    "show warnings", "show errors", "show count(*) warnings", "select @@warning_count, @@error_count",
    "get diagnostics @c = number; select @c", "show warnings limit 1",
    "insert into m select last_insert_id(), 1", "select id from t where id = last_insert_id()",
    "update t set a = last_insert_id(a + 1) where id = {n}", "select last_insert_id({n} * 10)",
    "set @l = last_insert_id()", "select last_insert_id() + {n} as v from u order by k limit 1",
]
WRITES = [
    "insert into t (a, s) values ({n}, 'w')", "insert into t (a) values (1), (2), (3)",
    "insert into t (id, a) values ({big}, 1)", "insert into t (id) values (1)",
    "insert ignore into u values (1, 'i'), ({big}, 'j')", "replace into u values ({n}, 'r')",
    "insert into u values ({n}, 'd') on duplicate key update v = concat(v, '+')",
    "insert into t (id, a) values ({n}, 9) on duplicate key update id = last_insert_id(id), a = a + 1",
    "update t set a = a + 1 where id <= {n}", "update t set a = a", "delete from t where id = {n}",
    "insert into t (a, s) values (1, 'far too long for that column, surely')",
    "insert into m values ({n}, 1)", "delete from m where a = {n}", "update u set k = 1 where k = 2",
    "insert into t (a) select k from u", "insert into nowhere values (1)", "truncate table m",
    "insert into t (a, s) values ('abc', 1/0)", "update t set s = upper(s) order by id limit 1",
]
TRANSACTIONS = [
    "begin", "start transaction", "start transaction read only", "commit", "rollback", "commit",
    "start transaction with consistent snapshot", "savepoint a", "rollback to savepoint a",
    "release savepoint a", "commit and chain", "rollback and no chain", "begin work", "commit work",
    "start transaction read write", "savepoint b", "rollback to b",
]
LOCKS = [
    "select get_lock('{schema}1', 0)", "select get_lock('{schema}2', 1)",
    "select release_lock('{schema}1')", "select release_lock('{schema}2')", "select release_all_locks()",
    "select is_free_lock('{schema}1')", "do release_lock('{schema}1')", "select locks_f('{schema}3')",
    "select is_used_lock('{schema}1') is null", "select release_lock('{schema}3')",
    "lock tables t write, u read", "lock tables t read", "unlock tables", "unlock tables",
    "select is_free_lock('{schema}2')",
]
TEMPORARY = [
    "create temporary table tmp (a int primary key auto_increment, b int)", "drop temporary table if exists tmp",
    "insert into tmp (b) values ({n})", "select * from tmp", "drop table tmp",
    "create temporary table tmp2 as select * from u", "select count(*) from tmp2",
    "create temporary table t (z int)", "drop temporary table t", "alter table tmp add c int",
    "create temporary table if not exists tmp (a int primary key auto_increment, b int)",
]
HANDLERS = ["handler u open", "handler u read first", "handler u read next", "handler u close",
            "handler u read `primary` >= (2)"]
USER_VARIABLES = [
    "set @a = {n}", "set @a = 'text', @b = 1.5", "select @a, @b, @c", "select @a := {n}",
    "select k into @c from u where k = {n}", "set @a = @a + 1", "set @d = null", "select @d is null, @a",
    "set @b = (select max(k) from u)", "select @x", "select @p, @f", "set @`odd name` = x'414243'",
    "select @`odd name`, charset(@`odd name`)", "set @e = 18446744073709551615, @g = 1e10, @h = -1.50",
    "select @e, @g, @h", "set @s = _latin1 'abc' collate latin1_bin", "select @s, collation(@s)",
]
TEXT_PREPARE = [
    "prepare p from 'select a, s from t where id = ?'", "execute p using @a", "deallocate prepare p",
    "prepare q from 'insert into t (a) values (?)'", "execute q using @a", "deallocate prepare q",
    "prepare p from 'selec'", "execute nowhere", "set @n = {n}", "execute p using @n",
]
CALLS = ["call results()", "call sets()", "call makes()", "select * from pt", "call begins()",
         "call outs(4, @o)", "select @o", "call fails()", "select sets_f({n})", "select inserts_f({n})",
         "call nowhere()"]
MULTI = [
    "select 1; select 2", "insert into t (a) values (5); select last_insert_id(), row_count()",
    "set @a = 1; select @a; selec", "begin; insert into u values ({big}, 'm'); commit",
    "set sql_mode = 'ANSI_QUOTES'; select \"k\" from u order by 1 limit 1",
    "insert into u values (1, 'dup'); select 1", "use {schema}; select database()",
    "set time_zone = '+01:00'; select @@time_zone; set time_zone = '+02:00'", "do 1; do 2; select 3",
    "create temporary table mt (a int); insert into mt values (1); select * from mt; drop temporary table mt",
]
ODD = [
    "set session group_concat_max_len = 20, session no_such_variable = 1",
    "set @a = 5, sql_mode = 'NONSENSE'", "set time_zone = '+09:00', sql_select_limit = 'x'",
    "set global max_connections_x = 5", "set version = 'x'", "set session read_only = 1",
    "set sql_mode = concat(@@sql_mode, ',PIPES_AS_CONCAT')", "set @@div_precision_increment = @@div_precision_increment + 1",
    "set names", "set character set latin1", "set character set default", "set transaction read only",
    "set transaction isolation level serializable", "set session transaction read only",
    "set session transaction read write", "set autocommit = 0", "set autocommit = 1", "set autocommit = 0",
    "set autocommit = default", "use nowhere", "create table c1 (a int)", "drop table if exists c1",
    "create view v1 as select k from u", "drop view if exists v1", "select * from v1",
    "xa start 'x{schema}'", "insert into t (a) values (99)", "xa end 'x{schema}'", "xa rollback 'x{schema}'",
    "xa commit 'x{schema}' one phase", "checksum table m", "analyze table u", "flush tables m",
    "kill 1", "kill query 1", "show create table u", "show variables like 'sql_mode'",
    "select @@autocommit, @@sql_mode, @@time_zone", "alter table t add column c{n} int", "set role none",
    "set rand_seed1 = 11, rand_seed2 = 22", "select rand() > 2", "set session session_track_schema = 0",
    "set session session_track_schema = 1",
]
PREPARED = [
    ("select a, s from t where id = ?", 1), ("select ? as x, ? as y", 2), ("insert into t (a, s) values (?, ?)", 2),
    ("select k, v from u order by k", 0), ("update u set v = ? where k = ?", 2), ("select last_insert_id(), ?", 1),
    ("selec ?", 0), ("select * from t order by id", 0), ("delete from t where id = ?", 1), ("select @a, ?", 1),
    ("set @a = ?", 1), ("select row_count(), found_rows()", 0), ("select * from tmp", 0),
    ("call outs(?, ?)", 2), ("select concat(?, 'x')", 1), ("show warnings", 0), ("begin", 0), ("commit", 0),
    ("select @@sql_mode, @@autocommit", 0), ("select \"a\" from t order by 1 limit 1", 0),
]


class Script:
    """Makes the steps of one session."""

    def __init__(self, seed, schema, family):
        self.random = random.Random(seed)
        self.schema, self.family = schema, family
        self.steps, self.statements, self.handle = [], {}, 0
        self.cursors = {}                       # of handles: executed for a cursor the first time?
        self.typed, self.long = set(), set()    # handles executed with values of any type, with long data
        self.shown = {}                         # handles whose parameters are columns: is each a number?

    def make(self, length):
        self.connect()
        kinds = [(self.read, 14), (self.ask, 12), (self.write, 14), (self.transaction, 9), (self.set, 14),
                 (self.lock, 3), (self.temporary, 4), (self.handler, 1), (self.user_variable, 6),
                 (self.text_prepare, 3), (self.call, 3), (self.multi, 4), (self.odd, 5), (self.prepare, 5),
                 (self.execute, 12), (self.close, 1), (self.statement_odds, 2), (self.look, 8),
                 (self.command, 3), (self.connect, 1), (self.load, 1)]
        # Each session has its own taste, so that there are ones that stay free to move.
        tasted = [(f, w * self.random.choice([0, 0, 1, 1, 1, 3])) for f, w in kinds]
        makers, weights = zip(*[(f, w) for f, w in tasted if w] or kinds)
        while len(self.steps) < length:
            self.random.choices(makers, weights)[0]()
        self.steps.append(("quit",))
        return self.steps

    def fill(self, sql):
        return (sql.replace("{n}", str(self.random.randint(1, 6)))
                .replace("{big}", str(self.random.randint(10, 40))).replace("{schema}", self.schema))

    def query(self, texts):
        self.steps.append(("query", self.fill(self.random.choice(texts))))

    def read(self):
        # (behind an aggregate over an empty table of MyISAM's, MariaDB's FOUND_ROWS() is of the statement before)
        grouped = " group by null" if self.family == "mariadb" else ""
        self.query([q + grouped if q.startswith("select sum") else q for q in READS])

    def ask(self):
        if self.random.random() < 0.6:
            self.query(self.random.choice([WRITES, READS]))
        self.query(ASKS)

    def write(self):
        self.query(WRITES)

    def transaction(self):
        self.query(TRANSACTIONS)

    def lock(self):
        self.query(LOCKS)

    def temporary(self):
        self.query(TEMPORARY)

    def handler(self):
        self.query(HANDLERS)

    def user_variable(self):
        self.query(USER_VARIABLES)

    def text_prepare(self):
        self.query(TEXT_PREPARE)

    def call(self):
        # (the row count of one with OUT parameters is on MySQL that of whatever ran before in that connection)
        self.query([q for q in CALLS if self.family == "mariadb" or "outs" not in q])

    def multi(self):
        self.query(MULTI)

    def odd(self):
        # (set in a transaction, MySQL reports the transaction's state from then on, now and then)
        self.query([q for q in ODD if self.family == "mariadb" or "session_track" not in q])

    def set(self):
        r = self.random
        kind = r.random()
        if kind < 0.15:
            self.steps.append(("query", "set names " + r.choice(NAMES)))
        elif kind < 0.25:
            self.steps.append(("query", "set session transaction isolation level " + r.choice(ISOLATIONS)))
        else:
            names = r.sample(sorted(VARIABLES), r.choice([1, 1, 1, 2, 3]))
            scope = r.choice(["", "session ", "@@", "@@session."])
            self.steps.append(("query", "set " + ", ".join(
                f"{scope}{name} = {r.choice(VARIABLES[name])}" for name in names)))

    def look(self):
        names = self.random.sample(sorted(set(VARIABLES) - UNSTEADY), 4)
        self.steps.append(("query", "select " + ", ".join("@@" + n for n in names)))

    def prepare(self):
        sql, params = self.random.choice(PREPARED)
        # MySQL does not say that more follows behind OUT parameters, unless it ends rows by an OK; and what
        # follows has the row count of whatever ran before in that connection.
        if self.family == "mysql" and sql.startswith("call outs"):
            return
        # A user variable has the type there that it had when the statement was prepared.
        if self.family == "mysql" and sql.startswith("select @a"):
            return
        self.handle += 1
        self.statements[self.handle] = params
        if self.family == "mariadb" and "?" in sql.split(" from ")[0] and sql.startswith("select"):
            self.shown[self.handle] = [self.random.random() < 0.5 for _ in range(params)]
        self.steps.append(("prepare", self.handle, sql))

    def execute(self):
        if not self.statements:
            return self.prepare()
        r = self.random
        handle = r.choice(list(self.statements))
        values = [r.choice([r.randint(1, 6), str(r.randint(1, 6)), None, "text"])
                  for _ in range(self.statements[handle])]
        cursor = int(r.random() < 0.1)
        # MySQL 9.7 does not end the rows of a statement that was first executed for a cursor and is not now,
        # so its clients wait for ever.
        if self.family == "mysql":
            cursor = self.cursors.setdefault(handle, cursor)
            # It also keeps the types of a statement's first parameters, and casts later ones to these; where
            # the statement has to be prepared anew, on another connection, the next are its first.
            values = [str(v) for v in values]
        elif handle in self.long:
            values = [str(v) for v in values]
        elif handle in self.shown:
            # (the column of a parameter keeps flags of the type that this had at first)
            values = [r.randint(1, 6) if n else "text" for n in self.shown[handle]]
            self.typed.add(handle)
        else:
            self.typed.add(handle)
        self.steps.append(("execute", handle, values, cursor, r.random() < 0.8))
        if cursor:
            for _ in range(r.randint(0, 2)):
                self.steps.append(("fetch", handle, r.randint(1, 3)))
        return None

    def close(self):
        if self.statements:
            handle = self.random.choice(list(self.statements))
            del self.statements[handle]
            self.steps.append(("close", handle))

    def statement_odds(self):
        if not self.statements:
            return
        handle = self.random.choice(list(self.statements))
        # (a parameter of another type than before, behind long data: MariaDB takes it for one of the old type)
        if self.statements[handle] and handle not in self.typed and self.random.random() < 0.6:
            self.long.add(handle)
            self.steps.append(("long_data", handle, 0, "long" * self.random.randint(1, 3)))
            values = ["<long>"] + ["3"] * (self.statements[handle] - 1)
            cursor = self.cursors.setdefault(handle, 0) if self.family == "mysql" else 0
            self.steps.append(("execute", handle, values, cursor, True))
        else:
            self.steps.append(("reset_statement", handle))

    def command(self):
        r = self.random
        kind = r.choice(["ping", "init_db", "init_db", "reset", "set_option", "field_list", "change_user",
                         "unknown"])
        if kind in ("reset", "change_user"):
            self.statements.clear()
        step = {"init_db": (r.choice([self.schema, "shop", "nowhere"]),), "set_option": (r.choice([0, 1]),),
                "field_list": (r.choice(["t", "u", "nowhere"]),),
                "change_user": (r.choice(["app", "other", "app", "wrong"]), r.choice(CHARSETS))}.get(kind, ())
        self.steps.append((kind, *step))
        if kind == "init_db":
            self.steps.append(("init_db", self.schema))
        if kind == "change_user" and step[0] == "wrong":
            self.connect()

    def load(self):
        rows = "".join(f"{i},{i * 2}\n" for i in range(self.random.randint(0, 5)))
        if self.random.random() < 0.3:
            rows += "x,y,z\n"
        self.steps.append(("load", "load data local infile 'any' into table m fields terminated by ','", rows))

    def connect(self):
        self.statements.clear()
        self.steps.append(("connect", self.random.choice(CAPS), self.random.choice(CHARSETS)))
