#include "cache/packs.h"

#include "base/error.h"
#include "cache/pack_list.h"
#include "cache/pack_record.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOCH 0x1234u
#define OTHER 0x1235u
#define HEAD sizeof(struct pack_record)
#define MIB (1024 * 1024)
#define LARGE (64 * MIB) /* a cache whose packs have 4 MiB */

struct fixture {
	char *dir;
	struct packs *packs;
	bool killed; /* what the end leaves is never there */
};

static char *list_path(const struct fixture *f)
{
	return g_build_filename(f->dir, "packs", "list", NULL);
}

static void end(struct fixture *f)
{
	g_autofree char *list = list_path(f);

	packs_close(&f->packs);
	if (f->killed)
		unlink(list);
}

static void reopen(struct fixture *f, uint64_t max_bytes)
{
	GError *error = NULL;

	end(f);
	f->packs = packs_open(f->dir, max_bytes, &error);
	g_assert_no_error(error);
}

static void setup(struct fixture *f, const void *data)
{
	f->killed = data != NULL;
	f->dir = g_dir_make_tmp("packs-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	reopen(f, LARGE);
}

static void teardown(struct fixture *f, const void *data)
{
	packs_close(&f->packs);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static char *path_of(const struct fixture *f, unsigned number)
{
	g_autofree char *name = g_strdup_printf("%u.pack", number);

	return g_build_filename(f->dir, "packs", name, NULL);
}

/* -1: there is none. */
static int64_t size_of(const struct fixture *f, unsigned number)
{
	g_autofree char *path = path_of(f, number);
	struct stat stat;

	return lstat(path, &stat) == 0 ? stat.st_size : -1;
}

static void put_bytes(struct fixture *f, uint32_t epoch, uint32_t uid, const void *bytes,
		      uint32_t size)
{
	GError *error = NULL;

	g_assert_true(packs_put(f->packs, epoch, uid, bytes, size, &error));
	g_assert_no_error(error);
}

static void put(struct fixture *f, uint32_t uid, const char *text)
{
	put_bytes(f, EPOCH, uid, text, (uint32_t)strlen(text));
}

static void put_many(struct fixture *f, uint32_t from, uint32_t to, size_t size)
{
	for (uint32_t uid = from; uid <= to; uid++) {
		g_autofree char *text = g_strnfill(size, (char)('a' + uid % 26));

		put(f, uid, text);
	}
}

static bool reads(struct fixture *f, uint32_t epoch, uint32_t uid, const char *text)
{
	size_t len = strlen(text);
	g_autofree char *bytes = g_malloc(len + 1);
	struct file_span span;
	bool same;

	if (packs_get(f->packs, epoch, uid, len, &span) != PACKS_FOUND)
		return false;
	g_assert_cmpuint(span.size, ==, len);
	same = pread(span.fd, bytes, len, (off_t)span.start) == (ssize_t)len &&
	       memcmp(bytes, text, len) == 0;
	close(span.fd);
	g_assert_true(same);
	return true;
}

static bool reads_filled(struct fixture *f, uint32_t uid, size_t size)
{
	g_autofree char *text = g_strnfill(size, (char)('a' + uid % 26));

	return reads(f, EPOCH, uid, text);
}

static void drop(struct fixture *f, uint32_t uid)
{
	packs_drop(f->packs, EPOCH, uid, UINT64_MAX);
	packs_tidy(f->packs);
}

static int64_t on_disk(const struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "packs", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	int64_t bytes = 0;

	while ((name = g_dir_read_name(dir)))
		bytes += size_of(f, (unsigned)g_ascii_strtoull(name, NULL, 10));
	return bytes;
}

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

static void set_contents(const struct fixture *f, unsigned number, const char *bytes, gsize len)
{
	g_autofree char *path = path_of(f, number);

	g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

static char *get_contents(const struct fixture *f, unsigned number, gsize *ret_len)
{
	g_autofree char *path = path_of(f, number);
	char *bytes;

	g_assert_true(g_file_get_contents(path, &bytes, ret_len, NULL));
	return bytes;
}

/* Cut anywhere: what was whole before is there, nothing else, and what comes next is kept. */
static void test_torn(struct fixture *f, const void *data)
{
	static const char *const texts[] = {"first", "second one", "third"};
	g_autofree char *bytes = NULL;
	gsize ends[G_N_ELEMENTS(texts)], len = 0;

	for (uint32_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		put(f, i + 1, texts[i]);
		ends[i] = len += HEAD + strlen(texts[i]);
	}
	bytes = get_contents(f, 1, &len);
	for (gsize cut = 0; cut < len; cut++) {
		end(f);
		set_contents(f, 1, bytes, cut);
		reopen(f, LARGE);
		for (uint32_t i = 0; i < G_N_ELEMENTS(texts); i++)
			g_assert_true(reads(f, EPOCH, i + 1, texts[i]) == (ends[i] <= cut));
		put(f, 9, "next");
		reopen(f, LARGE);
		g_assert_true(reads(f, EPOCH, 9, "next"));
		g_assert_true(reads(f, EPOCH, 1, texts[0]) == (ends[0] <= cut));
		g_assert_cmpuint(packs_total(f->packs), ==, (guint64)on_disk(f));
		drop(f, 9);
		for (uint32_t i = 0; i < G_N_ELEMENTS(texts); i++)
			drop(f, i + 1);
		g_assert_cmpuint(packs_total(f->packs), ==, 0);
	}
}

/* One flipped bit, anywhere, in the file of a mount before. */
static void test_flipped(struct fixture *f, const void *data)
{
	static const char *const texts[] = {"first", "second"};
	g_autofree char *list = list_path(f);
	g_autofree char *bytes = NULL;
	g_autofree char *listed = NULL;
	gsize len, listed_len = 0;

	put(f, 1, texts[0]);
	put(f, 2, texts[1]);
	bytes = get_contents(f, 1, &len);
	end(f);
	g_assert_true(g_file_get_contents(list, &listed, &listed_len, NULL) == !f->killed);
	for (gsize bit = 0; bit < len * 8; bit++) {
		bool first = bit / 8 < HEAD + strlen(texts[0]);

		end(f);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		set_contents(f, 1, bytes, len);
		if (listed)
			g_assert_true(g_file_set_contents(list, listed, (gssize)listed_len, NULL));
		reopen(f, LARGE);
		g_assert_false(reads(f, EPOCH, first ? 1 : 2, texts[first ? 0 : 1]));
		g_assert_false(packs_has(f->packs, EPOCH, first ? 1 : 2));
		if (!first)
			g_assert_true(reads(f, EPOCH, 1, texts[0]));
		else if (listed)
			g_assert_true(reads(f, EPOCH, 2, texts[1]));
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
}

/* What the end left of an end before, or of something else, is not believed, nor a damaged one. */
static void test_list(struct fixture *f, const void *data)
{
	static const char *const texts[] = {"first", "second"};
	g_autofree char *list = list_path(f);
	g_autofree char *listed = NULL;
	gsize len;

	put(f, 1, texts[0]);
	put(f, 2, texts[1]);
	packs_close(&f->packs);
	g_assert_true(g_file_get_contents(list, &listed, &len, NULL));
	for (gsize bit = 0; bit < len * 8; bit++) {
		gsize cut = bit % 8 ? len : bit / 8;

		packs_close(&f->packs);
		listed[bit / 8] ^= (char)(1 << bit % 8);
		g_assert_true(g_file_set_contents(list, listed, (gssize)cut, NULL));
		listed[bit / 8] ^= (char)(1 << bit % 8);
		f->packs = packs_open(f->dir, LARGE, NULL);
		g_assert_false(g_file_test(list, G_FILE_TEST_EXISTS));
		g_assert_true(reads(f, EPOCH, 1, texts[0]));
		g_assert_true(reads(f, EPOCH, 2, texts[1]));
	}
	put(f, 2, "something else");
	packs_close(&f->packs);
	g_assert_true(g_file_set_contents(list, listed, (gssize)len, NULL));
	f->packs = packs_open(f->dir, LARGE, NULL);
	g_assert_true(reads(f, EPOCH, 1, texts[0]));
	g_assert_true(reads(f, EPOCH, 2, "something else"));
}

/* Whoever wrote it: nothing is read that is not a message. */
static void test_list_lies(struct fixture *f, const void *data)
{
	const uint32_t len = HEAD + 5;
	const struct pack_list_pack pack = {1, len};
	const struct pack_list_entry lies[] = {
		{EPOCH, 2, 2, HEAD, 5},	     {EPOCH, 3, 1, HEAD - 1, 5},
		{EPOCH, 4, 1, HEAD + 1, 5},  {EPOCH, 5, 1, HEAD, UINT32_MAX},
		{EPOCH, 6, 1, len + 1, 0},   {EPOCH, 7, 1, 0, 5},
		{EPOCH, 8, 1, UINT32_MAX, 9}};
	const struct pack_list_entry others[] = {
		{EPOCH, 1, 1, HEAD, 5}, {EPOCH, 1, 1, HEAD, 4}, {EPOCH, 9, 1, HEAD, 5}};
	g_autofree char *dir = g_build_filename(f->dir, "packs", NULL);
	struct pack_list *list = pack_list_new();

	put(f, 1, "first");
	packs_close(&f->packs);
	g_array_append_val(list->packs, pack);
	g_array_append_vals(list->entries, lies, G_N_ELEMENTS(lies));
	g_array_append_vals(list->entries, others, G_N_ELEMENTS(others));
	pack_list_write(list, dir);
	pack_list_free(&list);
	f->packs = packs_open(f->dir, LARGE, NULL);
	for (uint32_t uid = 2; uid <= 8; uid++)
		g_assert_false(packs_has(f->packs, EPOCH, uid));
	g_assert_true(reads(f, EPOCH, 1, "first"));
	g_assert_true(packs_has(f->packs, EPOCH, 9));
	g_assert_false(reads(f, EPOCH, 9, "first"));
	g_assert_false(packs_has(f->packs, EPOCH, 9));
}

static void test_junk(struct fixture *f, const void *data)
{
	static const char *const names[] = {"0.pack",	       "x.pack", "99999999999.pack",
					    "4294967295.pack", "7",	 "7.pack.old",
					    "07.pack"};
	g_autofree char *link = path_of(f, 8);
	g_autofree char *target = g_build_filename(f->dir, "target", NULL);
	g_autofree char *empty = path_of(f, 9);

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(f->dir, "packs", names[i], NULL);

		g_assert_true(g_file_set_contents(path, "junk", 4, NULL));
	}
	set_contents(f, 5, "no record of anything, but rather long", 38);
	g_assert_true(g_file_set_contents(target, "keep me", 7, NULL));
	g_assert_cmpint(symlink(target, link), ==, 0);
	g_assert_true(g_file_set_contents(empty, "", 0, NULL));
	reopen(f, LARGE);
	g_assert_cmpuint(packs_total(f->packs), ==, 0);
	g_assert_cmpint(size_of(f, 5), ==, -1);
	put(f, 1, "one");
	g_assert_cmpint(size_of(f, 10), >, 0);
	g_assert_true(reads(f, EPOCH, 1, "one"));
	g_assert_true(g_file_test(target, G_FILE_TEST_EXISTS));
}

/* It is no second one, whose records would take the place of the first one's. */
static void test_same_number(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, 1);
	g_autofree char *other = g_build_filename(f->dir, "packs", "01.pack", NULL);

	put(f, 1, "one");
	g_assert_cmpint(link(path, other), ==, 0);
	for (unsigned round = 0; round < 3; round++) {
		reopen(f, LARGE);
		g_assert_true(reads(f, EPOCH, 1, "one"));
	}
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

/* It was right when it was read; a copy is made of what is right now. */
static void test_copy_of_damaged(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, 1);
	GError *error = NULL;
	int fd;

	put(f, 1, "one");
	g_assert_true(reads(f, EPOCH, 1, "one"));
	fd = open(path, O_WRONLY);
	g_assert_cmpint(pwrite(fd, "O", 1, HEAD), ==, 1);
	close(fd);
	g_assert_false(packs_copy(f->packs, EPOCH, 1, OTHER, 7, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
	g_error_free(error);
	g_assert_false(packs_has(f->packs, OTHER, 7));
}

/* By a cache that somebody has put back: its packs have other messages at the same places. */
static void test_replaced(struct fixture *f, const void *data)
{
	const size_t each = HEAD + 3;
	g_autofree char *bytes = NULL;
	g_autofree char *swapped = NULL;
	gsize len;

	put(f, 1, "one");
	put(f, 2, "two");
	put_bytes(f, OTHER, 3, "six", 3);
	for (uint32_t uid = 1; uid <= 2; uid++)
		g_assert_true(reads(f, EPOCH, uid, uid == 1 ? "one" : "two"));
	g_assert_true(reads(f, OTHER, 3, "six"));
	bytes = get_contents(f, 1, &len);
	swapped = g_memdup2(bytes, len);
	memcpy(swapped, bytes + each, each);
	memcpy(swapped + each, bytes, each);
	set_contents(f, 1, swapped, len);
	for (uint32_t uid = 1; uid <= 2; uid++) {
		g_assert_false(reads(f, EPOCH, uid, uid == 1 ? "one" : "two"));
		g_assert_false(packs_has(f->packs, EPOCH, uid));
	}
	g_assert_true(reads(f, OTHER, 3, "six"));
	put(f, 1, "one");
	g_assert_true(reads(f, EPOCH, 1, "one"));
}

/* In the place of the pack that is written to stands something else; what comes next is kept. */
static void test_place_taken(struct fixture *f, const void *data)
{
	g_autofree char *moved = g_build_filename(f->dir, "moved", NULL);

	for (unsigned number = 1; number <= 3; number++) {
		g_autofree char *path = path_of(f, number);

		put(f, 1, "one");
		g_assert_cmpint(size_of(f, number), >, 0);
		g_assert_cmpint(rename(path, moved), ==, 0);
		if (number == 1)
			g_assert_cmpint(symlink(moved, path), ==, 0);
		else if (number == 2)
			g_assert_cmpint(mkfifo(path, 0600), ==, 0);
		else
			g_assert_cmpint(mkdir(path, 0700), ==, 0);
		g_assert_false(reads(f, EPOCH, 1, "one"));
		g_assert_false(packs_has(f->packs, EPOCH, 1));
		put(f, 1, "one");
		g_assert_true(reads(f, EPOCH, 1, "one"));
	}
}

/* What comes next is not put behind a hole, in which a message would be read that ends in zeros. */
static void test_cut(struct fixture *f, const void *data)
{
	for (unsigned round = 0; round < 2; round++) {
		g_autofree char *path = path_of(f, round + 1);

		put(f, 1, "one");
		put(f, 2, "second");
		g_assert_true(reads(f, EPOCH, 2, "second"));
		g_assert_cmpint(truncate(path, 2 * HEAD + 3 + 4), ==, 0);
		if (round == 1)
			g_assert_false(reads(f, EPOCH, 2, "second"));
		put(f, 3, "third");
		g_assert_false(reads(f, EPOCH, 2, "second"));
		g_assert_true(reads(f, EPOCH, 3, "third"));
		put(f, 2, "second");
		g_assert_true(reads(f, EPOCH, 2, "second"));
	}
}

/* It is not the file's fault. */
static void test_no_descriptor(struct fixture *f, const void *data)
{
	struct rlimit limit, none;

	put(f, 1, "one");
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	none = limit;
	none.rlim_cur = 0;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	bool read = reads(f, EPOCH, 1, "one");

	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	g_assert_false(read);
	g_assert_true(reads(f, EPOCH, 1, "one"));
}

/* Nobody reads from it: the end does not wait for that. */
static void test_list_is_fifo(struct fixture *f, const void *data)
{
	g_autofree char *list = list_path(f);

	put(f, 1, "one");
	g_assert_cmpint(mkfifo(list, 0600), ==, 0);
	for (unsigned round = 0; round < 2; round++)
		reopen(f, LARGE);
	g_assert_true(reads(f, EPOCH, 1, "one"));
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

#define ADD(name, function)                                                                        \
	do {                                                                                       \
		g_test_add("/packs" name, struct fixture, NULL, setup, function, teardown);        \
		g_test_add("/packs/killed" name, struct fixture, "", setup, function, teardown);   \
	} while (0)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/put", test_put);
	ADD("/sizes", test_sizes);
	ADD("/reopen", test_reopen);
	ADD("/torn", test_torn);
	ADD("/flipped", test_flipped);
	ADD("/list", test_list);
	ADD("/list-lies", test_list_lies);
	ADD("/junk", test_junk);
	ADD("/same-number", test_same_number);
	ADD("/full", test_full);
	ADD("/removed", test_removed);
	ADD("/moved", test_moved);
	ADD("/moved-at-start", test_moved_at_start);
	ADD("/drop-all", test_drop_all);
	ADD("/full-disk", test_full_disk);
	ADD("/copy", test_copy);
	ADD("/copy-of-damaged", test_copy_of_damaged);
	ADD("/replaced", test_replaced);
	ADD("/place-taken", test_place_taken);
	ADD("/cut", test_cut);
	ADD("/no-descriptor", test_no_descriptor);
	ADD("/list-is-fifo", test_list_is_fifo);
	ADD("/use", test_use);
	ADD("/names", test_names);
	ADD("/many", test_many);
	ADD("/threads", test_threads);
	return g_test_run();
}
