#include "packs_fixture.h"

#include "base/error.h"
#include "cache/pack_list.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

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
		g_assert_true(packs_has(f->packs, EPOCH, 1));
	}
	g_assert_true(reads(f, EPOCH, 1, "one"));
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/torn", test_torn);
	ADD("/flipped", test_flipped);
	ADD("/list", test_list);
	ADD("/list-lies", test_list_lies);
	ADD("/junk", test_junk);
	ADD("/same-number", test_same_number);
	ADD("/copy-of-damaged", test_copy_of_damaged);
	ADD("/replaced", test_replaced);
	ADD("/place-taken", test_place_taken);
	ADD("/cut", test_cut);
	ADD("/no-descriptor", test_no_descriptor);
	ADD("/list-is-fifo", test_list_is_fifo);
	return g_test_run();
}
