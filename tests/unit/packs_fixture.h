/* Packs in a directory of their own: "killed", nothing is written at the end. */
#pragma once

#include "base/file.h"
#include "cache/pack_record.h"
#include "cache/packs.h"

#include <string.h>
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

static inline char *list_path(const struct fixture *f)
{
	return g_build_filename(f->dir, "packs", "list", NULL);
}

static inline void end(struct fixture *f)
{
	g_autofree char *list = list_path(f);

	packs_close(&f->packs);
	if (f->killed)
		unlink(list);
}

static inline void reopen(struct fixture *f, uint64_t max_bytes)
{
	GError *error = NULL;

	end(f);
	f->packs = packs_open(f->dir, max_bytes, &error);
	g_assert_no_error(error);
}

static inline void setup(struct fixture *f, const void *data)
{
	f->killed = data != NULL;
	f->dir = g_dir_make_tmp("packs-XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	reopen(f, LARGE);
}

static inline void teardown(struct fixture *f, const void *data)
{
	packs_close(&f->packs);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static inline char *path_of(const struct fixture *f, unsigned number)
{
	g_autofree char *name = g_strdup_printf("%u.pack", number);

	return g_build_filename(f->dir, "packs", name, NULL);
}

/* -1: there is none. */
static inline int64_t size_of(const struct fixture *f, unsigned number)
{
	g_autofree char *path = path_of(f, number);
	struct stat stat;

	return lstat(path, &stat) == 0 ? stat.st_size : -1;
}

static inline void put_bytes(struct fixture *f, uint32_t epoch, uint32_t uid, const void *bytes,
			     uint32_t size)
{
	GError *error = NULL;

	g_assert_true(packs_put(f->packs, epoch, uid, bytes, size, &error));
	g_assert_no_error(error);
}

static inline void put(struct fixture *f, uint32_t uid, const char *text)
{
	put_bytes(f, EPOCH, uid, text, (uint32_t)strlen(text));
}

static inline void put_many(struct fixture *f, uint32_t from, uint32_t to, size_t size)
{
	for (uint32_t uid = from; uid <= to; uid++) {
		g_autofree char *text = g_strnfill(size, (char)('a' + uid % 26));

		put(f, uid, text);
	}
}

static inline bool reads(struct fixture *f, uint32_t epoch, uint32_t uid, const char *text)
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

static inline bool reads_filled(struct fixture *f, uint32_t uid, size_t size)
{
	g_autofree char *text = g_strnfill(size, (char)('a' + uid % 26));

	return reads(f, EPOCH, uid, text);
}

static inline void drop(struct fixture *f, uint32_t uid)
{
	packs_drop(f->packs, EPOCH, uid, UINT64_MAX);
	packs_tidy(f->packs);
}

static inline int64_t on_disk(const struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->dir, "packs", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	int64_t bytes = 0;

	while ((name = g_dir_read_name(dir)))
		bytes += size_of(f, (unsigned)g_ascii_strtoull(name, NULL, 10));
	return bytes;
}

static inline void set_contents(const struct fixture *f, unsigned number, const char *bytes,
				gsize len)
{
	g_autofree char *path = path_of(f, number);

	g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

static inline char *get_contents(const struct fixture *f, unsigned number, gsize *ret_len)
{
	g_autofree char *path = path_of(f, number);
	char *bytes;

	g_assert_true(g_file_get_contents(path, &bytes, ret_len, NULL));
	return bytes;
}

#define ADD(name, function)                                                                        \
	do {                                                                                       \
		g_test_add("/packs" name, struct fixture, NULL, setup, function, teardown);        \
		g_test_add("/packs/killed" name, struct fixture, "", setup, function, teardown);   \
	} while (0)
