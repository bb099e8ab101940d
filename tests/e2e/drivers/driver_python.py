"""PyMySQL or mysqlclient, by the name given: DB-API only, so one program serves both."""
import importlib
import os
import sys

module, host, port, user, password, db = sys.argv[1:7]
driver = importlib.import_module(module)


def check(claim, what):
    if not claim:
        sys.exit(f"wrong: {what}")


def value(cursor, sql, args=None):
    cursor.execute(sql, args)
    return cursor.fetchone()[0]


where = dict(host=host, port=int(port), user=user, passwd=password, db=db, charset="utf8mb4")
if "VOLVOX_TLS_CA" in os.environ:
    where["ssl"] = {"ca": os.environ["VOLVOX_TLS_CA"]}
if "VOLVOX_COMPRESS" in os.environ and module == "MySQLdb":
    where["compress"] = True
connection = driver.connect(**where)
c = connection.cursor()
check(value(c, "select 1 + 1") == 2, "a query")
c.execute("create temporary table t_python (id int primary key auto_increment, name varchar(50), n int)")
c.executemany("insert into t_python (name, n) values (%s, %s)", [(f"näme {i}", i) for i in range(1, 21)])
connection.commit()
check(value(c, "select name from t_python where n = %s", (7,)) == "näme 7", "a parameter")

c.execute("update t_python set n = n + 100")
check(value(c, "select min(n) from t_python") == 101, "our own write")
connection.rollback()
check(value(c, "select min(n) from t_python") == 1, "the rollback")
c.execute("delete from t_python where n > 10")
connection.commit()
check(value(c, "select count(*) from t_python") == 10, "the commit")

# Server-side prepared statements exist here only in their SQL form.
c.execute("prepare p from 'select n * ? from t_python where n = ?'")
c.execute("set @a = 3, @b = 7")
check(value(c, "execute p using @a, @b") == 21, "a prepared statement")
c.execute("deallocate prepare p")

try:
    c.execute("select * from no_such_table")
    check(False, "an error was due")
except driver.ProgrammingError as e:
    check(e.args[0] == 1146, "the error's code")
connection.autocommit(True)
check(value(c, "select 5") == 5, "a query after an error")
c.callproc("two_results")
check(c.fetchall() == ((1,),) and c.nextset() and c.fetchall() == ((2, 3),), "a procedure's results")
connection.close()
print("ok")
