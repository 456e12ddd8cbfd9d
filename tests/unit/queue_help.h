/* What the tests of the queue share: a directory for each test, clients that write, and all that a
 * queue holds as text. */
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "outbox/queue_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELAY_MS 2000
#define FAR_MS (INT64_MAX / 4)

struct fixture {
	char *dir;
	struct queue *queue;
};

static inline void fixture_open(struct fixture *fixture)
{
	g_autoptr(GError) error = NULL;

	fixture->queue = queue_open(fixture->dir, DELAY_MS, &error);
	g_assert_no_error(error);
	g_assert_nonnull(fixture->queue);
}

static inline void fixture_init(struct fixture *fixture)
{
	fixture->dir = g_dir_make_tmp("mailfs-queue-XXXXXX", NULL);
	g_assert_nonnull(fixture->dir);
	fixture_open(fixture);
}

static inline void fixture_clear(struct fixture *fixture)
{
	g_autoptr(GError) error = NULL;

	queue_close(&fixture->queue);
	g_assert_true(file_remove_tree(fixture->dir, &error));
	g_assert_no_error(error);
	g_clear_pointer(&fixture->dir, g_free);
}

static inline void fixture_reopen(struct fixture *fixture)
{
	queue_close(&fixture->queue);
	fixture_open(fixture);
}

/* --- writing --- */

static inline int open_writer(struct fixture *fixture, uint32_t id)
{
	g_autoptr(GError) error = NULL;
	int fd = queue_open_file(fixture->queue, id, true, &error);

	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static inline uint32_t create(struct fixture *fixture, const char *name, int *ret_fd)
{
	g_autoptr(GError) error = NULL;
	uint32_t id = queue_create(fixture->queue, name, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(id, !=, 0);
	*ret_fd = open_writer(fixture, id);
	return id;
}

static inline void append(struct fixture *fixture, uint32_t id, int fd, const char *text)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(queue_touch(fixture->queue, id, &error));
	g_assert_no_error(error);
	g_assert_true(file_pwrite_all(fd, text, strlen(text), lseek(fd, 0, SEEK_END)));
}

static inline void flush(struct fixture *fixture, uint32_t id)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(queue_flush(fixture->queue, id, &error));
	g_assert_no_error(error);
}

static inline bool finish_writer(struct fixture *fixture, uint32_t id, int fd)
{
	g_autoptr(GError) error = NULL;
	bool handed;

	close(fd);
	g_assert_true(queue_close_file(fixture->queue, id, true, &handed, &error));
	g_assert_no_error(error);
	return handed;
}

/* A whole file, written at once, flushed and closed. */
static inline uint32_t put(struct fixture *fixture, const char *name, const char *text)
{
	int fd;
	uint32_t id = create(fixture, name, &fd);

	append(fixture, id, fd, text);
	flush(fixture, id);
	finish_writer(fixture, id, fd);
	return id;
}

static inline bool rename_to(struct fixture *fixture, uint32_t id, const char *name)
{
	g_autoptr(GError) error = NULL;
	bool handed;

	g_assert_true(queue_rename(fixture->queue, id, name, &handed, &error));
	g_assert_no_error(error);
	return handed;
}

/* --- looking --- */

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

static inline struct queue_file get(struct fixture *fixture, uint32_t id)
{
	struct queue_file file;

	g_assert_true(queue_get(fixture->queue, id, &file));
	g_assert_cmpuint(file.id, ==, id);
	return file;
}

static inline void assert_text(struct fixture *fixture, uint32_t id, const char *expected)
{
	struct queue_file file = get(fixture, id);
	g_autofree char *text = read_fd(queue_read(fixture->queue, &file));

	g_assert_cmpstr(text, ==, expected);
	queue_file_clear(&file);
}

static inline bool set_copy(struct fixture *fixture, uint32_t id, enum queue_copy copy,
			    const char *name)
{
	struct queue_file file = get(fixture, id);
	bool ok = queue_set_copy(fixture->queue, &file, copy, name, NULL);

	queue_file_clear(&file);
	return ok;
}

static inline void assert_step(struct fixture *fixture, uint32_t id, enum queue_step step)
{
	struct queue_file file = get(fixture, id);

	g_assert_cmpint(file.step, ==, step);
	queue_file_clear(&file);
}

static inline void assert_gone(struct fixture *fixture, uint32_t id)
{
	struct queue_file file;

	g_assert_false(queue_get(fixture->queue, id, &file));
}

/* The number of who has the name; 0: nobody. */
static inline uint32_t find(struct fixture *fixture, bool failed, const char *name)
{
	struct queue_file file;
	uint32_t id;

	if (!queue_find(fixture->queue, failed, name, &file))
		return 0;
	g_assert_true(failed || g_str_equal(file.name, name));
	id = file.id;
	queue_file_clear(&file);
	return id;
}

static inline void describe_info(const struct queue_info *info, GString *text)
{
	static const char *const verdicts[] = {"open", "taken", "done", "refused", "unknown"};

	g_string_append_printf(text, " handed=%d tries=%u error=%d reply=%s given=%s sender=%s",
			       info->handed_ms > 0, info->tries, info->error, info->reply,
			       info->given, info->sender);
	g_string_append_printf(text, " message_id=%s copy=%d %s", info->message_id, info->copy,
			       info->copy_name);
	for (guint i = 0; i < info->recipients->len; i++) {
		const struct queue_recipient *recipient = g_ptr_array_index(info->recipients, i);

		g_string_append_printf(text, " <%s %s %s>", recipient->address,
				       verdicts[recipient->verdict], recipient->reply);
	}
}

/* All that it holds, without numbers and times. */
static inline char *describe(struct fixture *fixture)
{
	static const char *const steps[] = {"draft", "waiting", "sending", "sent", "failed"};
	GString *text = g_string_new(NULL);

	for (int step = 0; step < QUEUE_STEPS; step++) {
		GTreeNode *node = g_tree_node_first(fixture->queue->steps[step]);

		for (; node; node = g_tree_node_next(node)) {
			const struct queue_entry *entry = g_tree_node_value(node);
			g_autofree char *bytes = read_fd(queue_read(fixture->queue, &entry->file));

			g_assert_cmpint(entry->file.step, ==, step);
			g_assert_cmpint(queue_step_of(entry->dir), ==, step);
			g_string_append_printf(text, "%s %s '%s'", steps[step], entry->file.name,
					       bytes);
			describe_info(&entry->file.info, text);
			g_string_append_c(text, '\n');
		}
	}
	return g_string_free(text, FALSE);
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

static inline bool has(const struct fixture *fixture, const char *path)
{
	g_autofree char *full = g_build_filename(fixture->dir, path, NULL);

	return access(full, F_OK) == 0;
}

static inline void plant(const struct fixture *fixture, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(fixture->dir, path, NULL);

	g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

/* --- submitting --- */

/* Now, whatever its time is. */
static inline struct queue_file take(struct fixture *fixture, uint32_t id)
{
	struct queue_file file;
	int64_t next_ms;
	int fd;

	g_assert_true(queue_take(fixture->queue, queue_now_ms() + DELAY_MS + 1, false, &file, &fd,
				 &next_ms));
	g_assert_cmpuint(file.id, ==, id);
	g_assert_true(file.running);
	close(fd);
	return file;
}

static inline void add_recipient(struct queue_file *file, const char *address,
				 enum queue_verdict verdict, const char *reply)
{
	struct queue_recipient *recipient = g_new0(struct queue_recipient, 1);

	recipient->address = g_strdup(address);
	recipient->verdict = verdict;
	recipient->reply = g_strdup(reply);
	g_ptr_array_add(file->info.recipients, recipient);
}

static inline void set_text(char **field, const char *text)
{
	g_free(*field);
	*field = g_strdup(text);
}

static inline void commit(struct fixture *fixture, const struct queue_file *file)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(queue_commit(fixture->queue, file, &error));
	g_assert_no_error(error);
}

/* `file` is cleared. */
static inline void finish(struct fixture *fixture, struct queue_file *file, enum queue_step step)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(queue_finish(fixture->queue, file, step, &error));
	g_assert_no_error(error);
	queue_file_clear(file);
}

static inline uint32_t put_sent(struct fixture *fixture, const char *name, enum queue_copy copy)
{
	uint32_t id = put(fixture, name, "sent\n");
	struct queue_file file = take(fixture, id);

	add_recipient(&file, "a@example.org", QUEUE_TAKEN, NULL);
	commit(fixture, &file);
	file.info.copy = copy;
	finish(fixture, &file, QUEUE_SENT);
	return id;
}

/* Tried once: one has it, one refused it. */
static inline uint32_t put_failed(struct fixture *fixture, const char *name)
{
	uint32_t id = put(fixture, name, "failed\n");
	struct queue_file file = take(fixture, id);

	add_recipient(&file, "a@example.org", QUEUE_DONE, "250 ok");
	add_recipient(&file, "b@example.org", QUEUE_REFUSED, "550 no such user");
	set_text(&file.info.message_id, "<1@example.org>");
	file.info.tries = 1;
	file.info.error = EINVAL;
	set_text(&file.info.reply, "550 no such user");
	finish(fixture, &file, QUEUE_FAILED);
	return id;
}

static inline void assert_error(GError **error, enum mailfs_error code)
{
	g_assert_error(*error, MAILFS_ERROR, (int)code);
	g_clear_error(error);
}
