/* A private MariaDB on a loopback port, for the tests that need a real server. */
#ifndef TESTS_SERVERS_MARIADB_H
#define TESTS_SERVERS_MARIADB_H

#include "servers/sql.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct mariadb {
    char dir[64];
    uint16_t port;
    pid_t pid;                /* 0: not running */
};

static inline int bound_socket(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A port that nobody listens on now. */
static inline uint16_t free_port(void)
{
    static unsigned at;
    for (unsigned i = 0; i < 900; i++) {
        uint16_t port = (uint16_t)(25000 + ((unsigned)getpid() * 7 + at++) % 900);
        int fd = bound_socket(port);
        if (fd < 0)
            continue;
        close(fd);
        return port;
    }
    fail_msg("no free port");
    return 0;
}

/* Start a program with its output thrown away. */
static inline pid_t spawn(const char *const argv[])
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        _exit(1);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static inline struct sql *mariadb_connect(const struct mariadb *m)
{
    struct sql_account root = { .host = "127.0.0.1", .port = m->port, .user = "root",
                                .password = "", .timeout_s = 10 };
    return sql_connect(&root);
}

static inline void mariadb_start(struct mariadb *m)
{
    char data[100], port[32], socket[100], pid_file[100];
    snprintf(data, sizeof(data), "--datadir=%s/data", m->dir);
    snprintf(port, sizeof(port), "--port=%u", m->port);
    snprintf(socket, sizeof(socket), "--socket=%s/sock", m->dir);
    snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/pid", m->dir);
    const char *const argv[] = { "mariadbd", "--no-defaults", "--user=root", data, port, socket,
                                 pid_file, "--bind-address=127.0.0.1",
                                 "--innodb-buffer-pool-size=32M", "--server-id=7", NULL };
    m->pid = spawn(argv);
    for (unsigned i = 0; i < 600; i++) {
        struct sql *c = mariadb_connect(m);
        bool up = sql_errno(c) == 0;
        sql_disconnect(c);
        if (up)
            return;
        usleep(50000);
    }
    fail_msg("the private MariaDB does not start");
}

static inline void mariadb_kill(struct mariadb *m)
{
    if (m->pid == 0)
        return;
    kill(m->pid, SIGKILL);
    waitpid(m->pid, NULL, 0);
    m->pid = 0;
}

/* False where MariaDB is not installed. */
static inline bool mariadb_open(struct mariadb *m)
{
    char data[100], path[400];
    int status;
    const char *old = getenv("PATH");
    snprintf(path, sizeof(path), "%.300s:/usr/sbin", old != NULL ? old : "/usr/bin:/bin");
    setenv("PATH", path, 1);
    if (system("command -v mariadbd mariadb-install-db > /dev/null") != 0)
        return false;
    *m = (struct mariadb){ .port = free_port() };
    snprintf(m->dir, sizeof(m->dir), "/tmp/volvox-servers-XXXXXX");
    assert_non_null(mkdtemp(m->dir));
    snprintf(data, sizeof(data), "--datadir=%s/data", m->dir);
    const char *const argv[] = { "mariadb-install-db", "--no-defaults", "--user=root", data,
                                 "--auth-root-authentication-method=normal", "--skip-test-db",
                                 NULL };
    waitpid(spawn(argv), &status, 0);
    assert_int_equal(status, 0);
    mariadb_start(m);
    return true;
}

static inline void mariadb_close(struct mariadb *m)
{
    char command[100];
    mariadb_kill(m);
    snprintf(command, sizeof(command), "rm -rf %s", m->dir);
    assert_int_equal(system(command), 0);
}

/* A statement without rows, as root. */
static inline void mariadb_do(const struct mariadb *m, const char *statement)
{
    struct sql *c = mariadb_connect(m);
    struct sql_rows *rows = sql_query(c, statement);
    if (sql_errno(c) != 0)
        fail_msg("%s: %s", statement, sql_error(c));
    if (rows != NULL)
        sql_rows_free(rows);
    sql_disconnect(c);
}

/* One value of one row. */
static inline void mariadb_ask(const struct mariadb *m, const char *question, char *out,
                               size_t size)
{
    struct sql *c = mariadb_connect(m);
    struct sql_rows *rows = sql_query(c, question);
    assert_non_null(rows);
    assert_true(sql_next(rows));
    snprintf(out, size, "%s", sql_value(rows, 0));
    sql_rows_free(rows);
    sql_disconnect(c);
}

#endif
