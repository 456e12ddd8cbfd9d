#include "cache/bodies.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOCH 0xabcdefu

struct fixture {
	char *dir;
	struct bodies *bodies;
};

static void reopen(struct fixture *f, uint64_t max_bytes)
{
	GError *error = NULL;

	bodies_close(&f->bodies);
	f->bodies = bodies_open(f->dir, max_bytes, &error);
	g_assert_no_error(error);
}

static void setup(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("bodies-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	reopen(f, 1000);
}

static void teardown(struct fixture *f, const void *data)
{
	bodies_close(&f->bodies);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static char *path_of(struct fixture *f, const char *name)
{
	return g_build_filename(f->dir, "bodies", "abcdef", name, NULL);
}

static bool exists(struct fixture *f, const char *name)
{
	g_autofree char *path = path_of(f, name);

	return access(path, F_OK) == 0;
}

static void write_part(struct fixture *f, uint32_t uid, uint64_t offset, const char *text)
{
	GError *error = NULL;

	g_assert_true(bodies_part_write(f->bodies, EPOCH, uid, offset, text, strlen(text), &error));
	g_assert_no_error(error);
}

static void begin(struct fixture *f, uint32_t uid)
{
	uint64_t received = 99;

	bodies_part_begin(f->bodies, EPOCH, uid, &received);
	g_assert_cmpuint(received, ==, 0);
}

static void put_packed(struct fixture *f, uint32_t uid, const char *text)
{
	begin(f, uid);
	write_part(f, uid, 0, text);
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, uid, strlen(text), NULL));
}

/* In a file of its own, as somebody may have read of it before it was complete. */
static void put(struct fixture *f, uint32_t uid, size_t size)
{
	g_autofree char *text = g_strnfill(size, 'x');

	begin(f, uid);
	write_part(f, uid, 0, text);
	bodies_part_publish(f->bodies, EPOCH, uid, 1);
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, uid, size, NULL));
}

static bool has(struct fixture *f, uint32_t uid)
{
	struct file_span span;
	bool got = bodies_get(f->bodies, EPOCH, uid, UINT64_MAX, &span);

	if (got)
		close(span.fd);
	return got;
}

static void assert_reads(int fd, const char *text)
{
	char bytes[256] = "";

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pread(fd, bytes, sizeof(bytes) - 1, 0), >=, (ssize_t)strlen(text));
	bytes[strlen(text)] = '\0';
	g_assert_cmpstr(bytes, ==, text);
}

static int must_get(struct fixture *f, uint32_t epoch, uint32_t uid, uint64_t expected)
{
	struct file_span span;

	g_assert_true(bodies_get(f->bodies, epoch, uid, expected, &span));
	g_assert_cmpuint(span.start, ==, 0);
	g_assert_true(expected == UINT64_MAX || span.size == expected);
	return span.fd;
}

static void assert_packed(struct fixture *f, uint32_t epoch, uint32_t uid, const char *text)
{
	size_t len = strlen(text);
	g_autofree char *bytes = g_malloc(len + 1);
	struct file_span span;

	g_assert_true(bodies_get(f->bodies, epoch, uid, len, &span));
	g_assert_cmpuint(span.start, >, 0);
	g_assert_cmpuint(span.size, ==, len);
	g_assert_cmpint(pread(span.fd, bytes, len, (off_t)span.start), ==, (ssize_t)len);
	g_assert_cmpint(memcmp(bytes, text, len), ==, 0);
	close(span.fd);
}

static void test_part(struct fixture *f, const void *data)
{
	uint64_t received = 99;

	g_assert_cmpint(bodies_get_part(f->bodies, EPOCH, 7, &received), ==, -1);
	begin(f, 7);
	write_part(f, 7, 0, "Hello, ");
	g_assert_cmpuint(bodies_received(f->bodies, EPOCH, 7), ==, 0);
	g_assert_true(bodies_is_coming(f->bodies, EPOCH, 7));
	bodies_part_rest(f->bodies, EPOCH, 7);
	g_assert_false(bodies_is_coming(f->bodies, EPOCH, 7));
	bodies_part_publish(f->bodies, EPOCH, 7, 5);
	g_assert_cmpuint(bodies_received(f->bodies, EPOCH, 7), ==, 5);
	bodies_part_publish(f->bodies, EPOCH, 7, 3); /* never less */
	bodies_part_publish(f->bodies, EPOCH, 7, 7);
	g_assert_false(has(f, 7));
	int fd = bodies_get_part(f->bodies, EPOCH, 7, &received);

	g_assert_cmpuint(received, ==, 7);
	assert_reads(fd, "Hello, ");
	bodies_part_begin(f->bodies, EPOCH, 7, &received);
	g_assert_cmpuint(received, ==, 7);
	write_part(f, 7, 7, "world???");
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, 7, 12, NULL));
	assert_reads(fd, "Hello, world");
	close(fd);
	g_assert_cmpuint(bodies_received(f->bodies, EPOCH, 7), ==, 0);
	g_assert_cmpint(bodies_get_part(f->bodies, EPOCH, 7, &received), ==, -1);
	fd = must_get(f, EPOCH, 7, 12);
	assert_reads(fd, "Hello, world");
	g_assert_cmpuint(bodies_total(f->bodies), ==, 12);
	close(fd);
}

static void assert_refused(bool done, GError *error, int code)
{
	g_assert_false(done);
	g_assert_error(error, MAILFS_ERROR, code);
	g_error_free(error);
}

static void test_refused(struct fixture *f, const void *data)
{
	struct bodies *b = f->bodies;
	GError *error = NULL;
	bool done = bodies_part_write(b, EPOCH, 7, 0, "x", 1, &error);

	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	done = bodies_part_commit(b, EPOCH, 7, 0, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	begin(f, 7);
	write_part(f, 7, 0, "abcd");
	write_part(f, 7, 0, "ABCD"); /* not published: may be tried again */
	bodies_part_publish(b, EPOCH, 7, 1000);
	g_assert_cmpuint(bodies_received(b, EPOCH, 7), ==, 4);
	done = bodies_part_write(b, EPOCH, 7, 3, "x", 1, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	done = bodies_part_write(b, EPOCH, 7, 5, "x", 1, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	done = bodies_part_write(b, EPOCH, 7, 4, "", LIMIT_MESSAGE_SIZE - 3, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_LIMIT);
	done = bodies_part_commit(b, EPOCH, 7, 5, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	done = bodies_part_commit(b, EPOCH, 7, 3, &error);
	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	g_assert_true(bodies_part_commit(b, EPOCH, 7, 4, NULL));
}

static void test_discard(struct fixture *f, const void *data)
{
	uint64_t received;

	begin(f, 7);
	write_part(f, 7, 0, "abc");
	bodies_part_publish(f->bodies, EPOCH, 7, 3);
	int fd = bodies_get_part(f->bodies, EPOCH, 7, &received);

	bodies_part_discard(f->bodies, EPOCH, 7);
	bodies_part_discard(f->bodies, EPOCH, 7);
	assert_reads(fd, "abc");
	close(fd);
	g_assert_false(exists(f, "7.part"));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
	begin(f, 7);
}

static void test_wrong_size(struct fixture *f, const void *data)
{
	struct file_span span = {.size = 99};

	put(f, 7, 100);
	g_assert_false(bodies_get(f->bodies, EPOCH, 7, 101, &span));
	g_assert_cmpuint(span.size, ==, 99);
	g_assert_false(exists(f, "7"));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
	g_assert_false(has(f, 7));
}

static void test_replaced(struct fixture *f, const void *data)
{
	put(f, 7, 100);
	put(f, 7, 30);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 30);
}

static void set_use(struct fixture *f, const char *name, time_t age_s)
{
	g_autofree char *path = path_of(f, name);
	struct timespec times[] = {{.tv_sec = time(NULL) - age_s}, {.tv_nsec = UTIME_OMIT}};

	g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void test_evict(struct fixture *f, const void *data)
{
	for (uint32_t uid = 1; uid <= 10; uid++)
		put(f, uid, 100);
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 1000); /* not over the maximum */
	begin(f, 12);
	write_part(f, 12, 0, "part");
	bodies_part_publish(f->bodies, EPOCH, 12, 1);
	set_use(f, "12.part", 9000);
	set_use(f, "4", 5000);
	set_use(f, "2", 4000);
	set_use(f, "9", 3000);
	g_assert_true(has(f, 4)); /* used again: the youngest but for the new one */
	put(f, 11, 100);
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 900);
	g_assert_false(has(f, 2));
	g_assert_false(has(f, 9));
	g_assert_true(has(f, 4));
	g_assert_true(has(f, 11));
	g_assert_true(exists(f, "12.part"));
}

static void test_evict_keeps_last(struct fixture *f, const void *data)
{
	put(f, 1, 400);
	set_use(f, "1", 100);
	put(f, 2, 2000);
	bodies_evict(f->bodies);
	g_assert_false(has(f, 1));
	g_assert_true(has(f, 2));
}

static void test_use_is_remembered(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "1");
	struct stat stat;
	time_t now = time(NULL);

	put(f, 1, 10);
	set_use(f, "1", 30);
	g_assert_true(has(f, 1));
	g_assert_cmpint(lstat(path, &stat), ==, 0);
	g_assert_cmpint(stat.st_atime, <, now - 20); /* too young to be written again */
	set_use(f, "1", 90);
	g_assert_true(has(f, 1));
	g_assert_cmpint(lstat(path, &stat), ==, 0);
	g_assert_cmpint(stat.st_atime, >=, now);
}

static void test_descriptor_survives(struct fixture *f, const void *data)
{
	begin(f, 1);
	write_part(f, 1, 0, "kept");
	bodies_part_publish(f->bodies, EPOCH, 1, 1);
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, 1, 4, NULL));
	int fd = must_get(f, EPOCH, 1, UINT64_MAX);

	bodies_drop(f->bodies, EPOCH, 1);
	g_assert_false(exists(f, "1"));
	assert_reads(fd, "kept");
	close(fd);
}

static void test_drop_epoch(struct fixture *f, const void *data)
{
	put(f, 1, 10);
	put(f, 2, 10);
	begin(f, 3);
	bodies_drop_epoch(f->bodies, EPOCH);
	bodies_drop_epoch(f->bodies, EPOCH + 1);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
	g_assert_false(exists(f, "."));
	begin(f, 3); /* it was forgotten */
}

static void test_reopen(struct fixture *f, const void *data)
{
	g_autofree char *stray = path_of(f, "notes.txt");

	put(f, 1, 10);
	put(f, 4294967295u, 20);
	begin(f, 3);
	write_part(f, 3, 0, "abc");
	bodies_part_publish(f->bodies, EPOCH, 3, 1);
	g_assert_true(exists(f, "3.part"));
	g_assert_true(g_file_set_contents(stray, "x", 1, NULL));
	reopen(f, 1000);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 30);
	g_assert_false(exists(f, "3.part"));
	g_assert_true(exists(f, "notes.txt"));
	g_assert_cmpuint(bodies_received(f->bodies, EPOCH, 3), ==, 0);
	g_assert_true(exists(f, "4294967295"));
}

/* A file of an earlier run, whose end may be missing. */
static void test_earlier(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "7");
	struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - 100}};

	put(f, 7, 10);
	g_assert_true(has(f, 7));
	g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
	g_assert_false(has(f, 7));
	close(must_get(f, EPOCH, 7, 10));
	put(f, 7, 12);
	g_assert_true(has(f, 7));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 12);
}

#define OTHER (EPOCH + 1)

static void test_link(struct fixture *f, const void *data)
{
	put(f, 7, 10);
	bodies_link(f->bodies, EPOCH, 8, OTHER, 1); /* not there */
	g_assert_false(bodies_has(f->bodies, OTHER, 1));
	bodies_link(f->bodies, EPOCH, 7, OTHER, 1);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 20);
	bodies_link(f->bodies, EPOCH, 7, OTHER, 1);
	bodies_link(f->bodies, EPOCH, 7, EPOCH, 7);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 20);
	bodies_drop(f->bodies, EPOCH, 7);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 10);
	int fd = must_get(f, OTHER, 1, UINT64_MAX);

	assert_reads(fd, "xxxxxxxxxx");
	close(fd);
	/* fetched again: the other stays as it is */
	put(f, 7, 12);
	bodies_link(f->bodies, EPOCH, 7, OTHER, 2);
	put(f, 7, 13);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 10 + 12 + 13);
	reopen(f, 1000);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 10 + 12 + 13);
	bodies_drop_epoch(f->bodies, OTHER);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 13);
	g_assert_true(has(f, 7));
}

/* Each is a file of its own to the eviction, but the one used last stays by all its names. */
static void test_link_evict(struct fixture *f, const void *data)
{
	put(f, 7, 300);
	put(f, 8, 300);
	bodies_link(f->bodies, EPOCH, 8, OTHER, 1);
	bodies_link(f->bodies, EPOCH, 7, OTHER, 2);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 1200);
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *path = path_of(f, i == 0 ? "7" : "8");
		struct timespec times[] = {{.tv_sec = 1000 + i}, {.tv_nsec = UTIME_OMIT}};

		g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
	}
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 900);
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 900);
	g_assert_true(has(f, 8));
	reopen(f, 100);
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 600);
	g_assert_true(exists(f, "8"));
	g_assert_false(exists(f, "7"));
}

static void test_deleted_under_us(struct fixture *f, const void *data)
{
	g_autofree char *dir = g_build_filename(f->dir, "bodies", NULL);
	GError *error = NULL;

	put(f, 1, 10);
	begin(f, 2);
	write_part(f, 2, 0, "abc");
	bodies_part_publish(f->bodies, EPOCH, 2, 1);
	g_assert_true(file_remove_tree(dir, NULL));
	g_assert_false(has(f, 1));
	bool done = bodies_part_commit(f->bodies, EPOCH, 2, 3, &error);

	assert_refused(done, g_steal_pointer(&error), ERROR_IO);
	bodies_part_discard(f->bodies, EPOCH, 2);
	bodies_evict(f->bodies);
	put(f, 2, 5);
	g_assert_true(has(f, 2));
}

static void test_links_are_not_followed(struct fixture *f, const void *data)
{
	g_autofree char *complete = path_of(f, "7");
	g_autofree char *part = path_of(f, "8.part");
	g_autofree char *target = g_build_filename(f->dir, "target", NULL);
	uint64_t received;

	put(f, 1, 1);
	g_assert_true(g_file_set_contents(target, "secret", 6, NULL));
	g_assert_cmpint(symlink(target, complete), ==, 0);
	g_assert_cmpint(symlink(target, part), ==, 0);
	g_assert_false(has(f, 7));
	bodies_part_begin(f->bodies, EPOCH, 8, &received);
	write_part(f, 8, 0, "abc");
	bodies_part_publish(f->bodies, EPOCH, 8, 3);
	g_assert_cmpuint(bodies_received(f->bodies, EPOCH, 8), ==, 0);
}

static void *read_along(void *data)
{
	struct fixture *f = data;
	uint64_t seen = 0;
	struct file_span span;

	while (!bodies_get(f->bodies, EPOCH, 5, UINT64_MAX, &span)) {
		uint64_t received = 0;
		char bytes[1000];
		int part = bodies_get_part(f->bodies, EPOCH, 5, &received);

		if (part < 0)
			continue;
		g_assert_cmpuint(received, >=, seen);
		g_assert_cmpint(pread(part, bytes, received, 0), ==, (ssize_t)received);
		for (uint64_t i = 0; i < received; i++)
			g_assert_cmpint(bytes[i], ==, 'x');
		seen = received;
		close(part);
	}
	g_assert_cmpuint(span.size, ==, 1000);
	close(span.fd);
	return NULL;
}

static void test_threads(struct fixture *f, const void *data)
{
	pthread_t readers[2];

	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		g_assert_cmpint(pthread_create(&readers[i], NULL, read_along, f), ==, 0);
	begin(f, 5);
	for (uint64_t at = 0; at < 1000; at += 10) {
		write_part(f, 5, at, "xxxxxxxxxx");
		bodies_part_publish(f->bodies, EPOCH, 5, at + 10);
		bodies_evict(f->bodies);
	}
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, 5, 1000, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		pthread_join(readers[i], NULL);
}

/* --- those in packs --- */

static unsigned packs_of(struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "packs", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned count = 0;

	while (g_dir_read_name(dir))
		count++;
	return count;
}

static void test_packed(struct fixture *f, const void *data)
{
	uint64_t received;

	reopen(f, 1 << 20);
	begin(f, 7);
	write_part(f, 7, 0, "Hello, ");
	g_assert_cmpint(bodies_get_part(f->bodies, EPOCH, 7, &received), ==, -1);
	g_assert_true(bodies_is_coming(f->bodies, EPOCH, 7));
	write_part(f, 7, 7, "world???");
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, 7, 12, NULL));
	g_assert_false(exists(f, "."));
	put_packed(f, 8, "neighbour");
	put_packed(f, 9, "");
	assert_packed(f, EPOCH, 7, "Hello, world");
	assert_packed(f, EPOCH, 8, "neighbour");
	assert_packed(f, EPOCH, 9, "");
	g_assert_cmpuint(packs_of(f), ==, 1);
	g_assert_cmpuint(bodies_total(f->bodies), >, 21);
	bodies_drop(f->bodies, EPOCH, 7);
	g_assert_false(has(f, 7));
	bodies_drop_epoch(f->bodies, EPOCH);
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
	g_assert_cmpuint(packs_of(f), ==, 0);
}

static void test_packed_limit(struct fixture *f, const void *data)
{
	const size_t max = 64 * 1024;

	reopen(f, 64 << 20);
	for (size_t size = max - 1; size <= max + 1; size++) {
		g_autofree char *text = g_strnfill(size, 'x');
		g_autofree char *name = g_strdup_printf("%zu", size);

		begin(f, (uint32_t)size);
		write_part(f, (uint32_t)size, 0, text);
		g_assert_true(bodies_part_commit(f->bodies, EPOCH, (uint32_t)size, size, NULL));
		g_assert_true(exists(f, name) == (size > max));
		if (size <= max)
			assert_packed(f, EPOCH, (uint32_t)size, text);
		else
			close(must_get(f, EPOCH, (uint32_t)size, size));
	}
}

/* What is under way together is held in memory up to a limit. */
static void test_gathered_limit(struct fixture *f, const void *data)
{
	const size_t size = 64 * 1024;
	const uint32_t fit = LIMIT_GATHERED / size;
	g_autofree char *text = g_strnfill(size, 'x');

	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= fit + 2; uid++) {
			g_autofree char *name = g_strdup_printf("%u.part", uid);

			begin(f, uid);
			write_part(f, uid, 0, text);
			g_assert_true(exists(f, name) == (uid > fit));
		}
		for (uint32_t uid = 1; uid <= fit + 2; uid++)
			bodies_part_discard(f->bodies, EPOCH, uid);
	}
}

/* Of whichever form the one before was. */
static void test_packed_replaces(struct fixture *f, const void *data)
{
	reopen(f, 1 << 20);
	put(f, 7, 100);
	put_packed(f, 7, "new");
	g_assert_false(exists(f, "7"));
	assert_packed(f, EPOCH, 7, "new");
	put(f, 7, 50);
	close(must_get(f, EPOCH, 7, 50));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 50);
	g_assert_cmpuint(packs_of(f), ==, 0);
}

static void test_packed_wrong_size(struct fixture *f, const void *data)
{
	struct file_span span;

	put_packed(f, 7, "seven");
	g_assert_false(bodies_get(f->bodies, EPOCH, 7, 6, &span));
	g_assert_false(bodies_has(f->bodies, EPOCH, 7));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
}

static void test_packed_earlier(struct fixture *f, const void *data)
{
	put_packed(f, 7, "seven");
	put_packed(f, 8, "eight");
	reopen(f, 1000);
	g_assert_true(bodies_has(f->bodies, EPOCH, 7));
	g_assert_false(has(f, 7));
	assert_packed(f, EPOCH, 7, "seven");
	put_packed(f, 8, "again");
	g_assert_true(has(f, 8));
}

static void test_packed_link(struct fixture *f, const void *data)
{
	reopen(f, 1 << 20);
	put_packed(f, 7, "seven");
	bodies_link(f->bodies, EPOCH, 7, OTHER, 1);
	assert_packed(f, OTHER, 1, "seven");
	uint64_t total = bodies_total(f->bodies);

	bodies_link(f->bodies, EPOCH, 7, OTHER, 1);
	put(f, 8, 100);
	bodies_link(f->bodies, EPOCH, 7, EPOCH, 8);
	bodies_link(f->bodies, EPOCH, 8, OTHER, 1);
	g_assert_cmpuint(bodies_total(f->bodies), ==, total + 100);
	bodies_drop(f->bodies, EPOCH, 7);
	assert_packed(f, OTHER, 1, "seven");
}

/* Files and packs go in the order of their use. */
static void test_packed_evict(struct fixture *f, const void *data)
{
	g_autofree char *text = g_strnfill(60, 'x');

	put_packed(f, 1, text);
	put(f, 2, 300);
	set_use(f, "2", 1000);
	for (uint32_t uid = 3; uid <= 10; uid++)
		put_packed(f, uid, text);
	g_assert_cmpuint(packs_of(f), ==, 9);
	assert_packed(f, EPOCH, 1, text);
	g_assert_cmpuint(bodies_total(f->bodies), >, 1000);
	bodies_evict(f->bodies);
	g_assert_false(exists(f, "2"));
	g_assert_cmpuint(packs_of(f), ==, 9);
	put(f, 11, 800);
	bodies_evict(f->bodies);
	g_assert_cmpuint(bodies_total(f->bodies), <=, 900);
	assert_packed(f, EPOCH, 1, text);
	g_assert_false(has(f, 10));
	g_assert_true(exists(f, "11"));
}

static void test_packed_deleted_under_us(struct fixture *f, const void *data)
{
	g_autofree char *dir = g_build_filename(f->dir, "packs", NULL);

	reopen(f, 1 << 20);
	put_packed(f, 1, "one");
	put_packed(f, 2, "two");
	g_assert_true(file_remove_tree(dir, NULL));
	g_assert_false(has(f, 1));
	g_assert_false(bodies_has(f->bodies, EPOCH, 2));
	g_assert_cmpuint(bodies_total(f->bodies), ==, 0);
	put_packed(f, 1, "one");
	assert_packed(f, EPOCH, 1, "one");
	g_assert_true(file_remove_tree(dir, NULL));
	put_packed(f, 2, "two");
	assert_packed(f, EPOCH, 2, "two");
	g_assert_false(has(f, 1));
}

/* What does not fit is not there, and can be kept later. */
static void test_packed_full_disk(struct fixture *f, const void *data)
{
	const struct rlimit small = {.rlim_cur = 60, .rlim_max = RLIM_INFINITY};
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	GError *error = NULL;

	reopen(f, 1 << 20);
	put_packed(f, 1, "one");
	uint64_t total = bodies_total(f->bodies);

	begin(f, 2);
	write_part(f, 2, 0, "two");
	write_part(f, 2, 3, " and a tail that has no room");
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	bool done = bodies_part_commit(f->bodies, EPOCH, 2, 31, &error);

	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
	assert_refused(done, error, ERROR_IO);
	g_assert_false(bodies_has(f->bodies, EPOCH, 2));
	g_assert_true(bodies_is_coming(f->bodies, EPOCH, 2));
	g_assert_cmpuint(bodies_total(f->bodies), ==, total);
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, 2, 31, NULL));
	reopen(f, 1 << 20);
	assert_packed(f, EPOCH, 1, "one");
	assert_packed(f, EPOCH, 2, "two and a tail that has no room");
}

static void *read_packed(void *data)
{
	struct fixture *f = data;

	for (unsigned i = 0; i < 3000; i++) {
		uint32_t uid = i % 20 + 1;
		char bytes[16] = "";
		struct file_span span;

		if (!bodies_get(f->bodies, EPOCH, uid, UINT64_MAX, &span))
			continue;
		g_assert_cmpint(pread(span.fd, bytes, span.size, (off_t)span.start), ==, 10);
		for (unsigned at = 0; at < 10; at++)
			g_assert_cmpint(bytes[at], ==, (char)('a' + uid));
		close(span.fd);
	}
	return NULL;
}

static void test_packed_threads(struct fixture *f, const void *data)
{
	pthread_t readers[2];

	reopen(f, 4000);
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		g_assert_cmpint(pthread_create(&readers[i], NULL, read_packed, f), ==, 0);
	for (unsigned i = 0; i < 400; i++) {
		uint32_t uid = i % 20 + 1;
		g_autofree char *text = g_strnfill(10, (char)('a' + uid));

		put_packed(f, uid, text);
		if (i % 3 == 0)
			bodies_drop(f->bodies, EPOCH, (i * 7) % 20 + 1);
		bodies_evict(f->bodies);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		pthread_join(readers[i], NULL);
}

#define ADD(name, function) g_test_add(name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/bodies/part", test_part);
	ADD("/bodies/refused", test_refused);
	ADD("/bodies/discard", test_discard);
	ADD("/bodies/wrong-size", test_wrong_size);
	ADD("/bodies/replaced", test_replaced);
	ADD("/bodies/evict", test_evict);
	ADD("/bodies/evict-keeps-last", test_evict_keeps_last);
	ADD("/bodies/use-is-remembered", test_use_is_remembered);
	ADD("/bodies/descriptor-survives", test_descriptor_survives);
	ADD("/bodies/drop-epoch", test_drop_epoch);
	ADD("/bodies/reopen", test_reopen);
	ADD("/bodies/earlier", test_earlier);
	ADD("/bodies/link", test_link);
	ADD("/bodies/link-evict", test_link_evict);
	ADD("/bodies/deleted-under-us", test_deleted_under_us);
	ADD("/bodies/links-are-not-followed", test_links_are_not_followed);
	ADD("/bodies/threads", test_threads);
	ADD("/bodies/packed", test_packed);
	ADD("/bodies/packed-limit", test_packed_limit);
	ADD("/bodies/gathered-limit", test_gathered_limit);
	ADD("/bodies/packed-replaces", test_packed_replaces);
	ADD("/bodies/packed-wrong-size", test_packed_wrong_size);
	ADD("/bodies/packed-earlier", test_packed_earlier);
	ADD("/bodies/packed-link", test_packed_link);
	ADD("/bodies/packed-evict", test_packed_evict);
	ADD("/bodies/packed-deleted-under-us", test_packed_deleted_under_us);
	ADD("/bodies/packed-full-disk", test_packed_full_disk);
	ADD("/bodies/packed-threads", test_packed_threads);
	return g_test_run();
}
