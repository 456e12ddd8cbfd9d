/* What the tests of spool files share: clients that write, and looks into the directory. */
#pragma once

#include "state_help.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline uint32_t create(struct fixture *fixture, const char *name, int *ret_fd)
{
	g_autoptr(GError) error = NULL;
	uint32_t id = spool_create(fixture->state, FOLDER, "Box", name, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(id, !=, 0);
	*ret_fd = spool_open(fixture->state, id, true, &error);
	g_assert_no_error(error);
	return id;
}

static inline void write_bytes(struct fixture *fixture, uint32_t id, int fd, const char *text)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(spool_touch(fixture->state, id, &error));
	g_assert_no_error(error);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
}

static inline bool finish(struct fixture *fixture, uint32_t id, int fd)
{
	g_autoptr(GError) error = NULL;
	bool queued;

	close(fd);
	g_assert_true(spool_close(fixture->state, id, true, &queued, &error));
	g_assert_no_error(error);
	return queued;
}

static inline void flush(struct fixture *fixture, uint32_t id)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(spool_flush(fixture->state, id, &error));
	g_assert_no_error(error);
}

/* A whole file, written at once and closed. */
static inline uint32_t put(struct fixture *fixture, const char *name, const char *text)
{
	int fd;
	uint32_t id = create(fixture, name, &fd);

	write_bytes(fixture, id, fd, text);
	finish(fixture, id, fd);
	return id;
}

static inline char *path_of(const struct fixture *fixture, uint32_t id, const char *suffix)
{
	return g_strdup_printf("%s/spool/%u%s", fixture->dir, id, suffix);
}

static inline bool has(const struct fixture *fixture, uint32_t id, const char *suffix)
{
	g_autofree char *path = path_of(fixture, id, suffix);

	return access(path, F_OK) == 0;
}

static inline void plant(const struct fixture *fixture, uint32_t id, const char *suffix,
			 const char *text)
{
	g_autofree char *path = path_of(fixture, id, suffix);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline unsigned count_files(const struct fixture *fixture, const char *below)
{
	g_autofree char *path = g_build_filename(fixture->dir, below, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

static inline char *read_fd(int fd)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char buffer[4096];
	ssize_t len;

	g_assert_cmpint(fd, >=, 0);
	while ((len = pread(fd, buffer, sizeof(buffer), (off_t)text->len)) > 0)
		g_string_append_len(text, buffer, len);
	close(fd);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static inline char *read_as_client(struct fixture *fixture, uint32_t id)
{
	return read_fd(spool_open(fixture->state, id, false, NULL));
}

static inline struct spool_file get(struct fixture *fixture, uint32_t id)
{
	struct spool_file file;

	g_assert_true(spool_get(fixture->state, id, &file));
	return file;
}

static inline void assert_step(struct fixture *fixture, uint32_t id, enum spool_step step)
{
	struct spool_file file = get(fixture, id);

	g_assert_cmpint(file.step, ==, step);
	spool_file_clear(&file);
}

/* Takes the one that can be sent, and returns its bytes. */
static inline char *take(struct fixture *fixture, uint32_t id)
{
	struct spool_file file;
	int fd;

	g_assert_true(spool_take(fixture->state, 1000, &file, &fd));
	g_assert_cmpuint(file.id, ==, id);
	g_assert_true(file.running);

	char *text = read_fd(fd);

	g_assert_cmpuint(file.size, ==, strlen(text));
	spool_file_clear(&file);
	return text;
}

static inline void take_none(struct fixture *fixture)
{
	struct spool_file file;
	int fd;

	g_assert_false(spool_take(fixture->state, 1000, &file, &fd));
}

static inline void assert_sent(struct fixture *fixture, uint32_t id, const char *expected)
{
	g_autofree char *text = take(fixture, id);

	g_assert_cmpstr(text, ==, expected);
}

static inline void note_gone(void *data, const char *name)
{
	g_string_append_printf(data, "%s\n", name);
}
