#include "base/log.h"

#include "base/mem.h"
#include "death.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

enum { RING_BYTES = 64 * 1024 };

/* The rings that are held now. */
static atomic_int rings_held;
static _Atomic(void *) ring_at[64];

void *__real_mem_alloc(size_t size);
void __real_mem_free(void *p);
void *__wrap_mem_alloc(size_t size);
void __wrap_mem_free(void *p);

void *__wrap_mem_alloc(size_t size)
{
    void *p = __real_mem_alloc(size);
    for (unsigned i = 0; size >= RING_BYTES && i < ARRAY_LEN(ring_at); i++) {
        void *none = NULL;
        if (atomic_compare_exchange_strong(&ring_at[i], &none, p)) {
            atomic_fetch_add(&rings_held, 1);
            break;
        }
    }
    return p;
}

void __wrap_mem_free(void *p)
{
    for (unsigned i = 0; p != NULL && i < ARRAY_LEN(ring_at); i++) {
        void *same = p;
        if (atomic_compare_exchange_strong(&ring_at[i], &same, NULL))
            atomic_fetch_sub(&rings_held, 1);
    }
    __real_mem_free(p);
}

/* A directory of its own, with stderr going to a file in it. */
static char dir[64], log_path[80], stderr_path[80], other_path[80];
static int real_stderr;

static int begin(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/log_test.XXXXXX");
    must(mkdtemp(dir) != NULL);
    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    snprintf(stderr_path, sizeof(stderr_path), "%s/stderr", dir);
    snprintf(other_path, sizeof(other_path), "%s/other", dir);
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    int fd = open(stderr_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    must(real_stderr >= 0 && fd >= 0);
    dup2(fd, STDERR_FILENO);
    close(fd);
    log_level = LOG_INFO;
    log_context("");
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_stop();
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    unlink(log_path);
    unlink(stderr_path);
    unlink(other_path);
    rmdir(dir);
    return 0;
}

/* The whole file, to be freed; "" when there is none. */
static char *slurp(const char *path)
{
    char *text = calloc(1, 1), chunk[4096];
    size_t len = 0;
    int fd = open(path, O_RDONLY);
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0;) {
        text = realloc(text, len + (size_t)n + 1);
        memcpy(text + len, chunk, (size_t)n);
        text[len += (size_t)n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}

static void assert_file_matches(const char *path, const char *pattern)
{
    regex_t r;
    char *text = slurp(path);
    assert_int_equal(regcomp(&r, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&r, text, 0, NULL, 0) != 0)
        fail_msg("%s is:\n%s", path, text);
    regfree(&r);
    free(text);
}

/* The lines with this word in them, or the sum of the numbers behind it.
 * (strstr() on the whole would take a sanitizer the square of the length.) */
static unsigned long scan(const char *path, const char *word, bool sum_numbers)
{
    unsigned long result = 0;
    char *text = slurp(path), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        const char *at = strstr(line, word);
        if (at != NULL && rest != NULL)
            result += sum_numbers ? strtoul(at + strlen(word), NULL, 10) : 1;
    }
    free(text);
    return result;
}

static unsigned long count_in(const char *path, const char *word)
{
    return scan(path, word, false);
}

static unsigned long dropped_in(const char *path)
{
    return scan(path, "event=\"log lines dropped\" lines=", true);
}

#define TIME "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}Z"

static void without_a_scribe_lines_go_to_stderr_at_once(void **state)
{
    (void)state;
    log_warn("server lost", "server=%s age_ms=%d", "db1", 5120);
    assert_file_matches(stderr_path,
                        "^" TIME " warn event=\"server lost\" server=db1 age_ms=5120\n$");
}

static void lines_reach_the_file_before_stop_returns(void **state)
{
    (void)state;
    assert_true(log_start(log_path));
    log_context("session=12 ");
    log_error("server lost", "server=db1");
    log_info("started");
    log_context("");
    log_stop();
    assert_file_matches(log_path,
                        "^" TIME " error event=\"server lost\" session=12 server=db1\n" TIME
                        " info event=started session=12\n$");
    assert_file_matches(stderr_path, "^$");
    log_info("after");
    assert_file_matches(stderr_path, "event=after\n$");
}

/* Without anybody asking: the scribe has to be woken. */
static void a_sleeping_scribe_wakes_for_one_line(void **state)
{
    (void)state;
    assert_true(log_start(log_path));
    for (unsigned i = 1; i <= 5; i++) {
        log_info("wake", "n=%u", i);
        for (int ms = 0; ms < 10000 && count_in(log_path, "") < i; ms++)
            usleep(1000);
        assert_int_equal(count_in(log_path, ""), i);
        usleep(5000);
    }
}

static void the_time_is_now_in_utc(void **state)
{
    (void)state;
    time_t before = time(NULL);
    log_info("x");
    char *text = slurp(stderr_path);
    struct tm utc = { 0 };
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &utc));
    assert_in_range(timegm(&utc), before, before + 60);
    free(text);
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

static void lines_above_the_level_are_not_even_formatted(void **state)
{
    (void)state;
    evaluated = 0;
    log_debug("x", "n=%d", evaluate());
    assert_int_equal(evaluated, 0);
    log_level = LOG_DEBUG;
    log_debug("x", "n=%d", evaluate());
    assert_int_equal(evaluated, 1);
    log_level = LOG_ERROR;
    log_warn("y");
    assert_file_matches(stderr_path, "^" TIME " debug event=x n=1\n$");
}

static void assert_quoted(const char *from, const char *to)
{
    assert_string_equal(log_quote(bytes_str(from)), to);
}

static void values_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    assert_quoted("db1", "db1");
    assert_quoted("10.0.0.1:3306", "10.0.0.1:3306");
    assert_quoted("", "\"\"");
    assert_quoted("two words", "\"two words\"");
    assert_quoted("a=b", "\"a=b\"");
    assert_quoted("say \"hi\"", "\"say \\\"hi\\\"\"");
    assert_quoted("it's", "\"it's\"");
    assert_quoted("c:\\d", "\"c:\\\\d\"");
    assert_quoted("line\nbreak\r\t", "\"line\\nbreak\\r\\t\"");
    assert_quoted("\x01\x1b[31m\x7f", "\"\\x01\\x1b[31m\\x7f\"");
    assert_quoted("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(log_quote(BYTES_LITERAL("a\0b")), "\"a\\x00b\"");
}

static void four_quoted_values_fit_in_one_line_with_a_quoted_event(void **state)
{
    (void)state;
    log_info("in words", "a=%s b=%s c=%s d=%s", log_quote(bytes_str("1 1")),
             log_quote(bytes_str("2 2")), log_quote(bytes_str("3 3")), log_quote(bytes_str("4 4")));
    assert_file_matches(stderr_path,
                        "event=\"in words\" a=\"1 1\" b=\"2 2\" c=\"3 3\" d=\"4 4\"\n$");
}

static void long_values_are_cut_and_stay_quoted(void **state)
{
    (void)state;
    char longest[2000];
    memset(longest, 'x', sizeof(longest));
    const char *plain = log_quote(bytes_of(longest, sizeof(longest)));
    assert_in_range(strlen(plain), 500, 512);
    assert_string_equal(plain + strlen(plain) - 4, "x...");
    memset(longest, '\n', sizeof(longest));
    const char *quoted = log_quote(bytes_of(longest, sizeof(longest)));
    assert_in_range(strlen(quoted), 500, 512);
    assert_string_equal(quoted + strlen(quoted) - 6, "\\n...\"");
}

static void a_cut_leaves_no_half_characters(void **state)
{
    (void)state;
    char euros[3 * 300 + 3] = "";
    for (size_t shift = 0; shift < 3; shift++) {
        memset(euros, 'x', shift);
        for (size_t i = 0; i < 300; i++)
            memcpy(euros + shift + 3 * i, "\xe2\x82\xac", 3);
        const char *cut = log_quote(bytes_of(euros, shift + 900));
        size_t len = strlen(cut);
        assert_string_equal(cut + len - 3, "...");
        assert_int_equal((len - 3 - shift) % 3, 0);
    }
}

static void a_long_line_is_cut_at_2_kib(void **state)
{
    (void)state;
    char *text;
    log_info("long", "value=%09999d next=1", 1);
    text = slurp(stderr_path);
    assert_in_range(strlen(text), 2000, 2048 + 48);
    assert_string_equal(text + strlen(text) - 5, "0...\n");
    free(text);
}

static void a_value_nobody_quoted_can_not_begin_a_line(void **state)
{
    (void)state;
    log_info("login", "user=%s", "root\n2026-01-01T00:00:00.000000Z info event=forged");
    assert_int_equal(count_in(stderr_path, ""), 1);
    assert_file_matches(stderr_path, "user=root\\?2026");
}

static void logging_keeps_errno_and_can_tell_it(void **state)
{
    (void)state;
    errno = ENOENT;
    log_error("open failed", "error=\"%m\"");
    assert_int_equal(errno, ENOENT);
    assert_file_matches(stderr_path, "error=\"No such file or directory\"\n$");
}

static void a_long_context_is_cut_at_63_bytes(void **state)
{
    (void)state;
    char words[200];
    memset(words, 'c', sizeof(words));
    words[199] = '\0';
    log_context(words);
    log_info("x", "a=1");
    assert_file_matches(stderr_path, "event=x c{63} a=1\n$");
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        assert_true(log_level_parse(bytes_str(log_level_name((enum log_level)i)), &level));
        assert_int_equal(level, i);
    }
    assert_true(log_level_parse(bytes_str("WARN"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_false(log_level_parse(bytes_str("warning"), &level));
    assert_false(log_level_parse(BYTES_NONE, &level));
    assert_int_equal(level, LOG_WARN);
}

static void a_file_that_can_not_be_opened_is_no_start(void **state)
{
    (void)state;
    errno = 0;
    assert_false(log_start("/nonexistent/log"));
    assert_int_equal(errno, ENOENT);
    log_info("still here");
    assert_int_equal(count_in(stderr_path, "still here"), 1);
}

static void after_rotation_lines_go_to_the_new_file(void **state)
{
    (void)state;
    assert_true(log_start(log_path));
    log_info("before");
    while (count_in(log_path, "event=before") == 0)
        usleep(1000);
    assert_int_equal(rename(log_path, other_path), 0);
    log_reopen();
    log_info("after");
    log_stop();
    assert_file_matches(other_path, "event=before\n$");
    assert_file_matches(log_path, "^[^\n]*event=after\n$");
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
    (void)state;
    char moved[80], moved_log[96];
    snprintf(moved, sizeof(moved), "%s.moved", dir);
    snprintf(moved_log, sizeof(moved_log), "%s/log", moved);
    assert_true(log_start(log_path));
    assert_int_equal(rename(dir, moved), 0);
    log_reopen();
    log_info("after");
    log_stop();
    assert_int_equal(count_in(moved_log, "event=\"log not reopened\""), 1);
    assert_int_equal(count_in(moved_log, "No such file"), 1);
    assert_int_equal(count_in(moved_log, "event=after"), 1);
    assert_int_equal(rename(moved, dir), 0);
}

static void *log_200_lines_and_leave(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("from thread", "thread=%d n=%d", *(int *)arg, i);
    return NULL;
}

static void assert_in_order(const char *text, int thread)
{
    char word[64];
    for (int i = 0; i < 200; i++) {
        snprintf(word, sizeof(word), "thread=%d n=%d\n", thread, i);
        text = strstr(text, word);
        if (text == NULL)
            fail_msg("missing or out of order: %s", word);
    }
}

static void threads_that_leave_lose_no_lines_and_leak_no_rings(void **state)
{
    (void)state;
    pthread_t threads[8];
    int numbers[8];
    assert_true(log_start(log_path));
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_200_lines_and_leave, &numbers[i]),
                         0);
    }
    log_info("from main");
    assert_true(rings_held >= 1);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    /* The scribe frees their rings without being asked; main's stays. */
    for (int ms = 0; ms < 10000 && rings_held > 1; ms++)
        usleep(1000);
    assert_int_equal(rings_held, 1);
    log_stop();
    assert_int_equal(rings_held, 0);
    char *text = slurp(log_path);
    for (int i = 0; i < 8; i++)
        assert_in_order(text, i);
    free(text);
    assert_int_equal(count_in(log_path, ""), 8 * 200 + 1);
}

static void *log_at_stop_time(void *arg)
{
    atomic_bool *is_over = arg;
    uintptr_t lines = 0;
    for (; !atomic_load(is_over); lines++) {
        log_info("busy", "n=%u", (unsigned)lines);
        if (lines % 16 == 0)
            usleep(50);
    }
    return (void *)lines;
}

static void stopping_and_starting_under_load_loses_no_lines(void **state)
{
    (void)state;
    pthread_t threads[3];
    atomic_bool is_over = false;
    unsigned long logged = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_at_stop_time, &is_over), 0);
    for (int i = 0; i < 100; i++) {
        assert_true(log_start(log_path));
        usleep((unsigned)(i % 7) * 300);
        log_reopen();
        log_stop();
        usleep((unsigned)(i % 5) * 200);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++) {
        void *lines;
        pthread_join(threads[i], &lines);
        logged += (uintptr_t)lines;
    }
    assert_int_equal(rings_held, 0);
    unsigned long found = count_in(log_path, "event=busy") + count_in(stderr_path, "event=busy");
    assert_int_equal(found + dropped_in(log_path) + dropped_in(stderr_path), logged);
    assert_true(found > 1000);
}

struct reader {
    int from;
    const char *to;
};

static void *copy_until_end(void *arg)
{
    struct reader *r = arg;
    char chunk[4096];
    FILE *to = fopen(r->to, "w");
    for (ssize_t n; (n = read(r->from, chunk, sizeof(chunk))) > 0;)
        fwrite(chunk, 1, (size_t)n, to);
    fclose(to);
    return NULL;
}

/* A pipe that nobody reads holds the scribe up, not those who log. */
static void a_full_ring_drops_lines_and_tells_how_many(void **state)
{
    (void)state;
    enum { LINES = 10000 };
    assert_int_equal(mkfifo(log_path, 0600), 0);
    struct reader r = { open(log_path, O_RDONLY | O_NONBLOCK), other_path };
    assert_true(r.from >= 0);
    assert_true(log_start(log_path));
    for (int i = 0; i < LINES; i++)
        log_info("filler", "n=%d", i);
    assert_int_equal(fcntl(r.from, F_SETFL, 0), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, copy_until_end, &r), 0);
    log_stop();
    pthread_join(thread, NULL);
    close(r.from);
    unsigned long found = count_in(other_path, "event=filler"), dropped = dropped_in(other_path);
    assert_true(found > 500);
    assert_true(dropped > 1000);
    assert_int_equal(found + dropped, LINES);
}

static void *log_one_line(void *arg)
{
    log_info("turn", "n=%d", *(int *)arg);
    return NULL;
}

/* The scribe is held up by a full pipe while they log, one after the other. */
static void lines_of_several_threads_come_out_in_the_order_of_their_times(void **state)
{
    (void)state;
    static const char zeros[4096];
    pthread_t thread;
    assert_int_equal(mkfifo(log_path, 0600), 0);
    struct reader r = { open(log_path, O_RDONLY | O_NONBLOCK), other_path };
    int filler = open(log_path, O_WRONLY | O_NONBLOCK);
    while (write(filler, zeros, sizeof(zeros)) > 0)
        ;
    close(filler);
    assert_true(log_start(log_path));
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&thread, NULL, log_one_line, &i), 0);
        pthread_join(thread, NULL);
    }
    assert_int_equal(fcntl(r.from, F_SETFL, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, copy_until_end, &r), 0);
    log_stop();
    pthread_join(thread, NULL);
    close(r.from);
    /* Behind the zeros. */
    FILE *f = fopen(other_path, "r");
    char line[128] = "";
    for (int c = 0; c == 0;)
        if ((c = fgetc(f)) != 0)
            ungetc(c, f);
    for (int i = 0; i < 6; i++) {
        assert_non_null(fgets(line, sizeof(line), f));
        assert_non_null(strstr(line, " n="));
        assert_int_equal(atoi(strstr(line, " n=") + 3), i);
    }
    fclose(f);
}

static void lines_that_a_full_disk_refused_are_told_when_it_has_room(void **state)
{
    (void)state;
    assert_int_equal(symlink("/dev/full", log_path), 0);
    assert_true(log_start(log_path));
    for (int i = 0; i < 10; i++)
        log_info("refused");
    unlink(log_path);
    /* So that the ten are tried before the file changes. */
    usleep(100000);
    log_reopen();
    log_info("accepted");
    log_stop();
    assert_int_equal(count_in(log_path, "event=refused") + dropped_in(log_path), 10);
    assert_int_equal(count_in(log_path, "event=accepted"), 1);
}

static void log_and_break(void)
{
    must(log_start(log_path));
    log_info("last line");
    must(1 + 1 == 3);
}

static void a_broken_invariant_writes_what_is_queued_first(void **state)
{
    (void)state;
    char said[1024];
    assert_true(dies(log_and_break, said, sizeof(said)));
    assert_non_null(strstr(said, "1 + 1 == 3"));
    assert_int_equal(count_in(log_path, "last line"), 1);
    assert_int_equal(count_in(log_path, "1 + 1 == 3"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(without_a_scribe_lines_go_to_stderr_at_once),
        TEST(lines_reach_the_file_before_stop_returns),
        TEST(a_sleeping_scribe_wakes_for_one_line),
        TEST(the_time_is_now_in_utc),
        TEST(lines_above_the_level_are_not_even_formatted),
        TEST(values_are_quoted_where_they_must_be),
        TEST(four_quoted_values_fit_in_one_line_with_a_quoted_event),
        TEST(long_values_are_cut_and_stay_quoted),
        TEST(a_cut_leaves_no_half_characters),
        TEST(a_long_line_is_cut_at_2_kib),
        TEST(a_value_nobody_quoted_can_not_begin_a_line),
        TEST(logging_keeps_errno_and_can_tell_it),
        TEST(a_long_context_is_cut_at_63_bytes),
        TEST(levels_have_names),
        TEST(a_file_that_can_not_be_opened_is_no_start),
        TEST(after_rotation_lines_go_to_the_new_file),
        TEST(a_reopen_that_fails_keeps_the_old_file),
        TEST(threads_that_leave_lose_no_lines_and_leak_no_rings),
        TEST(stopping_and_starting_under_load_loses_no_lines),
        TEST(a_full_ring_drops_lines_and_tells_how_many),
        TEST(lines_of_several_threads_come_out_in_the_order_of_their_times),
        TEST(lines_that_a_full_disk_refused_are_told_when_it_has_room),
        TEST(a_broken_invariant_writes_what_is_queued_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
