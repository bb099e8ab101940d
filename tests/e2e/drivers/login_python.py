"""usage: login_python.py MODULE HOST PORT [USER PASSWORD]...: who one is after each login, and after a change
of user to the next one where the module can."""
import importlib
import sys

module = importlib.import_module(sys.argv[1])
host, port, *rest = sys.argv[2:]
accounts = list(zip(rest[::2], rest[1::2]))


def who(connection):
    cursor = connection.cursor()
    cursor.execute("select current_user()")
    print(cursor.fetchone()[0])
    cursor.close()


for i, (user, password) in enumerate(accounts):
    connection = module.connect(host=host, port=int(port), user=user, password=password)
    who(connection)
    if hasattr(connection, "change_user"):
        connection.change_user(*accounts[(i + 1) % len(accounts)], "")
        who(connection)
    connection.close()
