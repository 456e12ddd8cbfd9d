/* What the tests of changes share: two folders, and what is promised of their messages. */
#pragma once

#include "engine_fixture.h"

#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"

enum { MESSAGES = 1200 };

struct world {
	struct fixture fix;
	struct folder_row inbox, archive;
};

static char texts[MESSAGES + 1][80];

static inline void texts_make(void)
{
	for (unsigned i = 0; i <= MESSAGES; i++)
		g_snprintf(texts[i], sizeof(texts[i]),
			   "Message-ID: <%u@example.org>\r\nSubject: %u\r\n\r\nbody %u\r\n", i, i,
			   i);
}

static inline void world_prepare(struct world *world, unsigned count)
{
	struct memory_folder *inbox;

	fixture_open(&world->fix);
	inbox = memory_folder_add("INBOX", 7);
	memory_folder_add("Archive", 8);
	for (unsigned uid = 1; uid <= count; uid++)
		memory_message_add(inbox, uid, "x", texts[uid]);
}

static inline void world_start(struct world *world)
{
	struct fixture *fix = &world->fix;

	fixture_start(fix);
	g_assert_cmpint(ask(fix, NEED_FOLDER, folder_id(fix, "INBOX"), 0, 0), ==, 0);
	g_assert_cmpint(ask(fix, NEED_FOLDER, folder_id(fix, "Archive"), 0, 0), ==, 0);
	world->inbox = folder(fix, "INBOX");
	world->archive = folder(fix, "Archive");
}

static inline void world_open(struct world *world, unsigned count)
{
	world_prepare(world, count);
	world_start(world);
}

static inline void world_close(struct world *world)
{
	folder_row_clear(&world->inbox);
	folder_row_clear(&world->archive);
	fixture_close(&world->fix);
}

/* --- watching --- */

/* Prepared; nothing is found out by polling. */
static inline void watch_world_open(struct world *world, unsigned abilities, unsigned count)
{
	world_prepare(world, count);
	memory.abilities |= abilities;
	world->fix.account.poll_s = 3600;
}

static inline char *status_line(struct fixture *fix, const char *key)
{
	g_autofree char *status = engine_status(fix->engine);
	g_auto(GStrv) lines = g_strsplit(status, "\n", -1);
	char *value = NULL;

	for (unsigned i = 0; lines[i] && !value; i++) {
		if (g_str_has_prefix(lines[i], key))
			value = g_strdup(lines[i] + strlen(key));
	}
	return value;
}

static inline void await_watched(struct fixture *fix, const char *expected)
{
	gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (true) {
		g_autofree char *watched = status_line(fix, "watching: ");

		if (g_strcmp0(watched, expected) == 0)
			return;
		if (g_get_monotonic_time() > end_us)
			g_error("watched: %s instead of %s", watched, expected);
		g_usleep(1000);
	}
}

/* --- promising --- */

static inline struct state_box box_of(const struct folder_row *row)
{
	return (struct state_box){row->id, row->epoch, row->name, row->uidvalidity};
}

static inline void promise_of(struct world *world, const struct folder_row *row,
			      const struct change_request *wanted, uint32_t uid)
{
	struct change_request request = *wanted;
	g_autoptr(GError) error = NULL;

	request.box = box_of(row);
	request.uid = uid;
	changes_add(world->fix.state, &request, &error);
	g_assert_no_error(error);
}

static inline void promise(struct world *world, const struct change_request *wanted, uint32_t uid)
{
	promise_of(world, &world->inbox, wanted, uid);
}

static inline void set_flags(struct world *world, uint32_t uid, unsigned set, unsigned clear)
{
	promise(world, &(struct change_request){.kind = CHANGE_FLAGS, .set = set, .clear = clear},
		uid);
}

static inline void put_elsewhere(struct world *world, enum change_kind kind, uint32_t uid)
{
	g_autofree char *name = g_strdup_printf("my-%u.eml", uid);

	promise(world,
		&(struct change_request){.kind = kind,
					 .target = world->archive.id,
					 .target_mailbox = world->archive.name,
					 .name = name},
		uid);
}

static inline int sync_folder(struct world *world, uint32_t folder)
{
	return ask(&world->fix, NEED_CHANGES, folder, 0, 0);
}

/* Until nothing is pending, over connections that are lost. */
static inline void settle(struct world *world)
{
	gint64 end_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

	engine_changed(world->fix.engine);
	while (state_pending(world->fix.state) > 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, end_us);
		g_usleep(1000);
	}
}

static inline void assert_journal(const char *expected)
{
	g_autofree char *journal = memory_journal();

	g_assert_cmpstr(journal, ==, expected);
}

static inline void assert_messages(const char *name, const char *expected)
{
	g_autofree char *messages = memory_messages(name);

	g_assert_cmpstr(messages, ==, expected);
}

/* The numbers of the texts that are in the folder, in the order of their arrival. */
static inline void assert_texts(const char *name, const char *expected)
{
	const struct memory_folder *folder = memory_folder_find(name);
	g_autoptr(GString) found = g_string_new(NULL);

	g_assert_nonnull(folder);
	pthread_mutex_lock(&memory.lock);
	for (unsigned i = 0; i < folder->count; i++) {
		const char *number = strstr(folder->messages[i].body, "\r\nbody ");

		g_assert_nonnull(number);
		g_string_append_printf(found, "%s%d", i ? " " : "",
				       (int)g_ascii_strtoll(number + 7, NULL, 10));
	}
	pthread_mutex_unlock(&memory.lock);
	g_assert_cmpstr(found->str, ==, expected);
}

/* The names that were given stand for these messages, and no other. */
static inline void assert_names(struct world *world)
{
	const struct memory_folder *folder = memory_folder_find("Archive");

	for (unsigned i = 0; i < folder->count; i++) {
		g_autofree char *name =
			names_get(world->fix.state, world->archive.epoch, folder->messages[i].uid);
		g_autofree char *subject =
			g_strdup_printf("Subject: %.*s\r\n", name ? (int)strlen(name + 3) - 4 : 0,
					name ? name + 3 : "");

		g_assert_nonnull(name);
		g_assert_nonnull(strstr(folder->messages[i].body, subject));
	}
}

static inline bool take_flags(void *data, const struct message_row *row)
{
	*(unsigned *)data = row->flags;
	return true;
}

static inline unsigned flags_of(struct world *world, const struct folder_row *row, uint32_t uid)
{
	unsigned flags = 99;

	g_assert_true(index_message_get(world->fix.view, row->epoch, uid, take_flags, &flags));
	return flags;
}

static inline bool is_known(struct world *world, const struct folder_row *row, uint32_t uid)
{
	unsigned flags;

	return index_message_get(world->fix.view, row->epoch, uid, take_flags, &flags);
}

static inline bool log_says(const char *text)
{
	gsize len;
	g_autofree char *log = log_ring_copy(&len);

	return g_strstr_len(log, (gssize)len, text) != NULL;
}

/* --- new messages --- */

static inline uint32_t write_new(struct world *world, const char *name, const char *text)
{
	struct state *state = world->fix.state;
	g_autoptr(GError) error = NULL;
	bool queued = false;
	uint32_t id = spool_create(state, world->archive.id, world->archive.name, name, &error);
	int fd;

	g_assert_no_error(error);
	fd = spool_open(state, id, true, &error);
	g_assert_no_error(error);
	spool_touch(state, id, &error);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	close(fd);
	spool_set_mtime(state, id, INT64_C(1234567890000000000), &error);
	spool_close(state, id, true, &queued, &error);
	g_assert_no_error(error);
	g_assert_true(queued);
	return id;
}

static inline int sync_file(struct world *world, uint32_t id)
{
	return ask(&world->fix, NEED_SPOOL, 0, id, 0);
}
