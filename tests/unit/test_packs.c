#include "packs_fixture.h"

#include "base/error.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

static void test_put(struct fixture *f, const void *data)
{
	struct file_span span;

	g_assert_cmpint(packs_get(f->packs, EPOCH, 1, 3, &span), ==, PACKS_MISSING);
	put(f, 1, "one");
	put(f, 4294967295u, "last");
	put(f, 2, "");
	put_bytes(f, OTHER, 1, "other", 5);
	g_assert_true(reads(f, EPOCH, 1, "one"));
	g_assert_true(reads(f, EPOCH, 2, ""));
	g_assert_true(reads(f, EPOCH, 4294967295u, "last"));
	g_assert_true(reads(f, OTHER, 1, "other"));
	g_assert_false(packs_has(f->packs, OTHER, 2));
	g_assert_cmpuint(packs_total(f->packs), ==, 4 * HEAD + 12);
	g_assert_cmpint(size_of(f, 1), ==, 4 * HEAD + 12);
	g_assert_cmpint(packs_get(f->packs, EPOCH, 1, 4, &span), ==, PACKS_OTHER_SIZE);
	g_assert_cmpint(packs_get(f->packs, EPOCH, 1, UINT64_MAX, &span), ==, PACKS_FOUND);
	close(span.fd);
	packs_drop(f->packs, EPOCH, 1, 3);
	g_assert_true(packs_has(f->packs, EPOCH, 1));
	packs_drop(f->packs, EPOCH, 1, 4);
	g_assert_false(packs_has(f->packs, EPOCH, 1));
	packs_drop(f->packs, EPOCH, 1, 4);
}

static void test_sizes(struct fixture *f, const void *data)
{
	static const uint32_t sizes[] = {0, 1, PACKS_MESSAGE_MAX - 1, PACKS_MESSAGE_MAX};

	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
			if (round == 0)
				put_many(f, i + 1, i + 1, sizes[i]);
			g_assert_true(reads_filled(f, i + 1, sizes[i]));
		}
		reopen(f, LARGE);
	}
}

static unsigned count_descriptors(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned count = 0;

	while (g_dir_read_name(dir))
		count++;
	return count;
}

/* Those of the packs that were read last are kept, and no more. */
static void test_descriptors(struct fixture *f, const void *data)
{
	enum { PACKS = 40, SIZE = 1000, KEPT = 16 };
	unsigned before;

	reopen(f, 16 * SIZE); /* one in each */
	put_many(f, 1, PACKS, SIZE);
	g_assert_cmpint(size_of(f, PACKS), >, 0);
	before = count_descriptors();
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= PACKS; uid++)
			g_assert_true(reads_filled(f, uid, SIZE));
		g_assert_cmpuint(count_descriptors(), ==, before + KEPT);
	}
	for (uint32_t uid = 1; uid <= PACKS; uid++)
		drop(f, uid);
	g_assert_cmpuint(count_descriptors(), <, before);
}

static void test_reopen(struct fixture *f, const void *data)
{
	struct file_span span;

	put(f, 1, "one");
	put(f, 2, "two");
	put(f, 2, "second");
	put(f, 3, "three");
	drop(f, 3);
	uint64_t total = packs_total(f->packs);

	reopen(f, LARGE);
	g_assert_cmpuint(packs_total(f->packs), ==, total);
	g_assert_true(reads(f, EPOCH, 1, "one"));
	g_assert_true(reads(f, EPOCH, 2, "second"));
	g_assert_false(packs_has(f->packs, EPOCH, 3));
	/* it counts only where its size is known */
	g_assert_cmpint(packs_get(f->packs, EPOCH, 1, UINT64_MAX, &span), ==, PACKS_MISSING);
	g_assert_true(packs_copy(f->packs, EPOCH, 1, OTHER, 1, NULL));
	g_assert_cmpint(packs_get(f->packs, OTHER, 1, UINT64_MAX, &span), ==, PACKS_MISSING);
	g_assert_true(reads(f, OTHER, 1, "one"));
	put(f, 4, "four");
	g_assert_cmpint(size_of(f, 2), ==, -1); /* the pack goes on */
	g_assert_cmpint(packs_get(f->packs, EPOCH, 4, UINT64_MAX, &span), ==, PACKS_FOUND);
	close(span.fd);
	reopen(f, LARGE);
	g_assert_true(reads(f, EPOCH, 4, "four"));
	g_assert_true(reads(f, EPOCH, 1, "one"));
}

/* A pack has a sixteenth of the cache, or 4 MiB. */
static void test_full(struct fixture *f, const void *data)
{
	reopen(f, 16 * (3 * (HEAD + 10)));
	put_many(f, 1, 4, 10);
	g_assert_cmpint(size_of(f, 1), ==, 3 * (HEAD + 10));
	g_assert_cmpint(size_of(f, 2), ==, HEAD + 10);
	put_many(f, 5, 5, 1000); /* larger than a pack */
	g_assert_cmpint(size_of(f, 3), ==, HEAD + 1000);
	put_many(f, 6, 6, 1);
	g_assert_cmpint(size_of(f, 4), ==, HEAD + 1);
	reopen(f, LARGE);
	put_many(f, 100, 300, 50000);
	for (unsigned number = 4; number <= 6; number++) {
		g_assert_cmpint(size_of(f, number), <=, 4 * MIB);
		g_assert_cmpint(size_of(f, number), >, 7 * MIB / 2 * (number < 6));
	}
	g_assert_cmpint(size_of(f, 7), ==, -1);
}

static void test_removed(struct fixture *f, const void *data)
{
	struct file_span span;
	char bytes[6] = "";

	put(f, 1, "first");
	put(f, 2, "second");
	g_assert_cmpint(packs_get(f->packs, EPOCH, 1, 5, &span), ==, PACKS_FOUND);
	drop(f, 1);
	drop(f, 2);
	g_assert_cmpint(size_of(f, 1), ==, -1);
	g_assert_cmpuint(packs_total(f->packs), ==, 0);
	g_assert_cmpint(pread(span.fd, bytes, 5, (off_t)span.start), ==, 5);
	g_assert_cmpstr(bytes, ==, "first");
	close(span.fd);
	put(f, 3, "third");
	g_assert_true(reads(f, EPOCH, 3, "third"));
	g_assert_cmpint(size_of(f, 2), >, 0);
}

/* What is left of a pack moves when that is little. */
static void test_moved(struct fixture *f, const void *data)
{
	const uint32_t count = 64;
	struct file_span span;
	char byte;

	reopen(f, 16 * count * (HEAD + 100));
	put_many(f, 1, count, 100);
	reopen(f, 16 * count * (HEAD + 100));
	put_many(f, count + 1, count + 1, 100);
	g_assert_cmpint(size_of(f, 2), ==, HEAD + 100);
	g_assert_cmpint(packs_get(f->packs, EPOCH, count, 100, &span), ==, PACKS_FOUND);
	for (uint32_t uid = 1; uid <= count * 3 / 4; uid++)
		drop(f, uid);
	g_assert_cmpint(size_of(f, 1), ==, count * (HEAD + 100));
	drop(f, count * 3 / 4 + 1);
	g_assert_cmpint(size_of(f, 1), ==, -1);
	g_assert_cmpint(size_of(f, 2), ==, count / 4 * (HEAD + 100));
	g_assert_cmpuint(packs_total(f->packs), ==, (guint64)on_disk(f));
	g_assert_cmpint(pread(span.fd, &byte, 1, (off_t)span.start), ==, 1);
	g_assert_cmpint(byte, ==, 'a' + count % 26);
	close(span.fd);
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t uid = count * 3 / 4 + 2; uid <= count + 1; uid++)
			g_assert_true(reads_filled(f, uid, 100));
		/* one that is moved stays as old as it was */
		if (round == 0)
			g_assert_cmpint(packs_get(f->packs, EPOCH, count, UINT64_MAX, &span), ==,
					PACKS_MISSING);
		reopen(f, LARGE);
	}
}

/* What a mount before has left so. */
static void test_moved_at_start(struct fixture *f, const void *data)
{
	const uint32_t count = 8;

	reopen(f, 16 * count * (HEAD + 100));
	put_many(f, 1, count + 1, 100);
	for (uint32_t uid = 1; uid < count; uid++)
		packs_drop(f->packs, EPOCH, uid, UINT64_MAX);
	g_assert_cmpint(size_of(f, 1), ==, count * (HEAD + 100));
	reopen(f, 16 * count * (HEAD + 100));
	packs_tidy(f->packs);
	g_assert_cmpint(size_of(f, 1), ==, -1);
	g_assert_cmpint(size_of(f, 2), ==, 2 * (HEAD + 100));
	g_assert_true(reads_filled(f, count, 100));
	g_assert_true(reads_filled(f, count + 1, 100));
}

/* Those of an epoch: packs of it alone go as they are, in the others they are marked. */
static void test_drop_all(struct fixture *f, const void *data)
{
	g_autofree char *first = path_of(f, 1);
	g_autofree char *kept = g_build_filename(f->dir, "kept", NULL);
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	gsize len;

	reopen(f, 16 * 3 * (HEAD + 10));
	put_many(f, 1, 5, 10);
	put_bytes(f, OTHER, 6, "other", 5);
	g_assert_cmpint(size_of(f, 2), ==, 3 * HEAD + 25);
	g_assert_cmpint(link(first, kept), ==, 0);
	before = get_contents(f, 1, &len);
	packs_drop_all(f->packs, EPOCH, 0);
	packs_drop_all(f->packs, EPOCH, 0);
	g_assert_cmpint(size_of(f, 1), ==, -1);
	g_assert_true(g_file_get_contents(kept, &after, &len, NULL));
	g_assert_cmpuint(len, ==, 3 * (HEAD + 10));
	g_assert_cmpint(memcmp(before, after, len), ==, 0);
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= 5; uid++)
			g_assert_false(packs_has(f->packs, EPOCH, uid));
		g_assert_true(reads(f, OTHER, 6, "other"));
		g_assert_cmpuint(packs_total(f->packs), ==, 3 * HEAD + 25);
		reopen(f, LARGE);
	}
	packs_drop_all(f->packs, 0, 2);
	g_assert_cmpuint(packs_total(f->packs), ==, 0);
	g_assert_cmpint(on_disk(f), ==, 0);
}

static void test_full_disk(struct fixture *f, const void *data)
{
	const struct rlimit small = {.rlim_cur = 2 * HEAD + 100, .rlim_max = RLIM_INFINITY};
	const char bytes[51] = "";
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	GError *error = NULL;

	put_many(f, 1, 1, 50);
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
	bool done = packs_put(f->packs, EPOCH, 2, bytes, sizeof(bytes), &error);

	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
	g_assert_false(done);
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_clear_error(&error);
	g_assert_false(packs_has(f->packs, EPOCH, 2));
	g_assert_cmpint(size_of(f, 1), ==, HEAD + 50);
	put_many(f, 2, 2, 70);
	g_assert_true(reads_filled(f, 1, 50));
	g_assert_true(reads_filled(f, 2, 70));
}

static void test_copy(struct fixture *f, const void *data)
{
	GError *error = NULL;

	put(f, 1, "one");
	g_assert_true(packs_copy(f->packs, EPOCH, 1, OTHER, 7, NULL));
	drop(f, 1);
	g_assert_true(reads(f, OTHER, 7, "one"));
	g_assert_false(packs_copy(f->packs, EPOCH, 1, OTHER, 8, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_error_free(error);
	reopen(f, LARGE);
	g_assert_true(reads(f, OTHER, 7, "one"));
}

static void set_use(const struct fixture *f, unsigned number, time_t age_s)
{
	g_autofree char *path = path_of(f, number);
	struct timespec times[] = {{.tv_sec = time(NULL) - age_s}, {.tv_nsec = UTIME_OMIT}};

	g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static time_t use_of(const struct fixture *f, unsigned number)
{
	g_autofree char *path = path_of(f, number);
	struct stat stat;

	g_assert_cmpint(lstat(path, &stat), ==, 0);
	return time(NULL) - stat.st_atime;
}

static void test_use(struct fixture *f, const void *data)
{
	reopen(f, 16);
	put_many(f, 1, 3, 10);
	set_use(f, 1, 30);
	set_use(f, 2, 90);
	set_use(f, 3, 3000);
	reopen(f, 16);
	g_assert_true(reads_filled(f, 1, 10));
	g_assert_true(reads_filled(f, 2, 10));
	g_assert_cmpint(use_of(f, 1), >=, 20); /* too young to be written again */
	g_assert_cmpint(use_of(f, 2), <, 20);
	g_autoptr(GArray) uses = packs_uses(f->packs);

	g_assert_cmpuint(uses->len, ==, 3);
	for (guint i = 0; i < uses->len; i++) {
		const struct packs_use *use = &g_array_index(uses, struct packs_use, i);
		gint64 age_s = time(NULL) - use->used_ns / 1000000000;

		g_assert_cmpuint(use->size, ==, HEAD + 10);
		g_assert_true((use->number == 3) == (age_s > 2000));
	}
}

static void test_names(struct fixture *f, const void *data)
{
	reopen(f, 16);
	put(f, 1, "a");
	put(f, 2, "b");
	put_bytes(f, OTHER, 1, "c", 1);
	g_autoptr(GArray) of_epoch = packs_names(f->packs, EPOCH, 0);
	g_autoptr(GArray) of_pack = packs_names(f->packs, 0, 3);
	g_autoptr(GArray) all = packs_names(f->packs, 0, 0);

	g_assert_cmpuint(of_epoch->len, ==, 2);
	g_assert_cmpuint(of_pack->len, ==, 1);
	g_assert_cmpuint(g_array_index(of_pack, struct packs_name, 0).epoch, ==, OTHER);
	g_assert_cmpuint(all->len, ==, 3);
}

#define MANY 100000u

/* In the order of runs side by side; they are found, again after a restart, and all go. */
static void test_many(struct fixture *f, const void *data)
{
	for (uint32_t from = 1; from <= 10; from++) {
		for (uint32_t uid = from; uid <= MANY; uid += 10)
			put_bytes(f, EPOCH, uid * 3, &uid, sizeof(uid));
	}
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t uid = 1; uid <= MANY; uid += 37) {
			struct file_span span;
			uint32_t held;

			g_assert_false(packs_has(f->packs, EPOCH, uid * 3 + 1));
			g_assert_cmpint(packs_get(f->packs, EPOCH, uid * 3, sizeof(uid), &span), ==,
					PACKS_FOUND);
			g_assert_cmpint(pread(span.fd, &held, sizeof(held), (off_t)span.start), ==,
					sizeof(held));
			g_assert_cmpuint(held, ==, uid);
			close(span.fd);
		}
		reopen(f, LARGE);
	}
	for (uint32_t uid = 1; uid <= MANY; uid++)
		drop(f, uid * 3);
	g_assert_cmpuint(packs_total(f->packs), ==, 0);
	g_assert_cmpint(on_disk(f), ==, 0);
}

static void *read_often(void *data)
{
	struct fixture *f = data;

	for (uint32_t i = 0; i < 4000; i++)
		reads_filled(f, i % 40 + 1, 30);
	return NULL;
}

static void *drop_often(void *data)
{
	struct fixture *f = data;

	for (uint32_t i = 0; i < 2000; i++)
		packs_drop(f->packs, EPOCH, i * 7 % 40 + 1, UINT64_MAX);
	return NULL;
}

/* Readers, and one who finds messages of a wrong size, beside the one who writes and moves. What is
 * there in the end is what is there at the next start. */
static void test_threads(struct fixture *f, const void *data)
{
	pthread_t threads[3];

	reopen(f, 16 * 8 * (HEAD + 30));
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, i ? read_often : drop_often, f),
				==, 0);
	for (uint32_t i = 0; i < 2000; i++) {
		put_many(f, i % 40 + 1, i % 40 + 1, 30);
		packs_tidy(f->packs);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	g_assert_cmpuint(packs_total(f->packs), ==, (guint64)on_disk(f));
	g_autoptr(GArray) names = packs_names(f->packs, EPOCH, 0);

	reopen(f, LARGE);
	g_autoptr(GArray) later = packs_names(f->packs, EPOCH, 0);

	g_assert_cmpuint(names->len, ==, later->len);
	for (guint i = 0; i < names->len; i++)
		g_assert_true(reads_filled(f, g_array_index(names, struct packs_name, i).uid, 30));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/put", test_put);
	ADD("/sizes", test_sizes);
	ADD("/descriptors", test_descriptors);
	ADD("/reopen", test_reopen);
	ADD("/full", test_full);
	ADD("/removed", test_removed);
	ADD("/moved", test_moved);
	ADD("/moved-at-start", test_moved_at_start);
	ADD("/drop-all", test_drop_all);
	ADD("/full-disk", test_full_disk);
	ADD("/copy", test_copy);
	ADD("/use", test_use);
	ADD("/names", test_names);
	ADD("/many", test_many);
	ADD("/threads", test_threads);
	return g_test_run();
}
