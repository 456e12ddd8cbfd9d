#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 4
#define LINES 2000

/* Sends stderr to nowhere, or into a file that is given back as text. */
static int stderr_take(const char *path)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	g_assert_cmpint(saved, >=, 0);
	g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
	close(fd);
	return saved;
}

static void stderr_give_back(int saved)
{
	g_assert_cmpint(dup2(saved, STDERR_FILENO), ==, STDERR_FILENO);
	close(saved);
}

static char *ring_text(void)
{
	gsize len;
	char *text = log_ring_copy(&len);

	g_assert_cmpuint(strlen(text), ==, len);
	g_assert_cmpuint(len, <=, LIMIT_LOG_RING);
	g_assert_true(len == 0 || text[len - 1] == '\n');
	return text;
}

static void test_levels(void)
{
	g_autofree char *path = NULL;
	g_autofree char *printed = NULL;
	g_autofree char *text = NULL;
	int fd = g_file_open_tmp("mailfs-test-XXXXXX", &path, NULL);
	int saved;

	g_assert_cmpint(fd, >=, 0);
	close(fd);
	saved = stderr_take(path);
	log_open("mailfs-test", LOG_LEVEL_WARNING);
	g_assert_cmpint(log_level_get(), ==, LOG_LEVEL_WARNING);
	log_error("broken: %d", 1);
	log_warning("odd");
	log_info("not shown");
	log_debug("not shown");
	log_open("mailfs-test", LOG_LEVEL_DEBUG);
	log_debug("trace");
	stderr_give_back(saved);

	g_assert_true(g_file_get_contents(path, &printed, NULL, NULL));
	unlink(path);
	g_assert_cmpstr(printed, ==,
			"mailfs-test: broken: 1\nmailfs-test: odd\nmailfs-test: trace\n");
	text = ring_text();
	g_assert_true(
		g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d error: broken: "
				     "1\n\\S+ warning: odd\n\\S+ debug: trace\n$",
				     text, 0, 0));
}

/* What stands in the file when each level has said something, and JOURNAL_STREAM is `stream`. */
static char *levels_printed(const char *stream)
{
	g_autofree char *path = NULL;
	g_autofree char *own = NULL;
	char *printed = NULL;
	struct stat attr;
	int fd = g_file_open_tmp("mailfs-test-XXXXXX", &path, NULL);
	int saved;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fstat(fd, &attr), ==, 0);
	close(fd);
	own = g_strdup_printf("%ju:%ju", (uintmax_t)attr.st_dev, (uintmax_t)attr.st_ino);
	g_setenv("JOURNAL_STREAM", stream ? stream : own, TRUE);
	saved = stderr_take(path);
	log_open("mailfs[work]", LOG_LEVEL_DEBUG);
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	stderr_give_back(saved);
	g_unsetenv("JOURNAL_STREAM");
	g_assert_true(g_file_get_contents(path, &printed, NULL, NULL));
	unlink(path);
	return printed;
}

static void test_journal(void)
{
	g_autofree char *journal = levels_printed(NULL);
	g_autofree char *other = levels_printed("1:2");

	g_assert_cmpstr(journal, ==,
			"<3>mailfs[work]: a\n<4>mailfs[work]: b\n"
			"<6>mailfs[work]: c\n<7>mailfs[work]: d\n");
	g_assert_cmpstr(other, ==,
			"mailfs[work]: a\nmailfs[work]: b\nmailfs[work]: c\nmailfs[work]: d\n");
}

static void test_one_line(void)
{
	g_autofree char *text = NULL;
	g_autofree char *huge = g_strnfill(100000, 'x');
	int saved = stderr_take("/dev/null");
	const char *line;

	log_open("mailfs-test", LOG_LEVEL_INFO);
	log_info("forged\n2000-01-01T00:00:00 error: %s", "\033[2J");
	log_info("%s", huge);
	stderr_give_back(saved);
	text = ring_text();
	g_assert_nonnull(strstr(text, "forged\\x0A2000-01-01T00:00:00 error: \\x1B[2J\n"));
	line = strstr(text, "xxx");
	g_assert_cmpuint(strcspn(line, "\n"), ==, 4096);
}

static void *writer_run(void *data)
{
	for (unsigned i = 0; i < LINES; i++) {
		log_info("thread %d line %u %0200d", GPOINTER_TO_INT(data), i, 0);
		if (i % 100 == 0)
			g_free(ring_text());
	}
	return NULL;
}

/* More lines than the ring holds: the last ones are there, whole and in order. */
static void test_ring_threads(void)
{
	pthread_t threads[THREADS];
	unsigned next[THREADS] = {0};
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int saved = stderr_take("/dev/null");

	log_open("mailfs-test", LOG_LEVEL_INFO);
	for (int i = 0; i < THREADS; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, writer_run, GINT_TO_POINTER(i)),
				==, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	stderr_give_back(saved);

	text = ring_text();
	g_assert_cmpuint(strlen(text), >, LIMIT_LOG_RING / 2 - 5000);
	lines = g_strsplit(text, "\n", 0);
	for (size_t i = 0; lines[i][0]; i++) {
		const char *text_of_line = strstr(lines[i], " info: thread ");
		guint64 thread;
		guint64 line;
		char *end;

		g_assert_nonnull(text_of_line);
		thread = g_ascii_strtoull(text_of_line + strlen(" info: thread "), &end, 10);
		g_assert_true(g_str_has_prefix(end, " line "));
		line = g_ascii_strtoull(end + strlen(" line "), NULL, 10);
		g_assert_cmpuint(thread, <, THREADS);
		g_assert_true(line == next[thread] || next[thread] == 0);
		next[thread] = (unsigned)line + 1;
	}
	for (int i = 0; i < THREADS; i++)
		g_assert_true(next[i] == LINES || next[i] == 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/log/levels", test_levels);
	g_test_add_func("/log/journal", test_journal);
	g_test_add_func("/log/one-line", test_one_line);
	g_test_add_func("/log/ring-threads", test_ring_threads);
	return g_test_run();
}
