/* A tree with outbox/: over a real queue, with an outbox that only notes what it is told. */
#pragma once

#include "outbox/outbox.h"
#include "tree_look.h"

/* --- the outbox as the tree sees it --- */

struct outbox {
	struct queue *queue;
	unsigned changes; /* calls of outbox_changed() */
	uint64_t size_max;
	bool settled;
	int error;
};

struct queue *outbox_queue(struct outbox *outbox)
{
	return outbox->queue;
}

void outbox_changed(struct outbox *outbox)
{
	outbox->changes++;
}

void outbox_retry(struct outbox *outbox)
{
	outbox->changes++;
}

bool outbox_is_settled(struct outbox *outbox, uint32_t id, int *ret_error)
{
	if (outbox->settled)
		*ret_error = outbox->error;
	return outbox->settled;
}

uint64_t outbox_size_max(struct outbox *outbox)
{
	return outbox->size_max;
}

char *outbox_text(struct outbox *outbox)
{
	return g_strdup("nothing waits\n");
}

char *outbox_error_text(const struct queue_file *file)
{
	return g_strdup_printf("%s\n", file->info.reply);
}

/* --- the fixture --- */

struct world {
	struct fixture f; /* first */
	struct outbox outbox;
};

static inline struct outbox *outbox_of(struct fixture *f)
{
	return &((struct world *)f)->outbox;
}

static inline struct queue *queue_of(struct fixture *f)
{
	return outbox_of(f)->queue;
}

static void world_up(struct fixture *f, gconstpointer data)
{
	static const uint32_t uids[] = {1};
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = NULL;
	struct tree_config config;

	fixture_up(f, data);
	*outbox_of(f) = (struct outbox){.size_max = UINT64_MAX};
	dir = g_build_filename(f->dir, "outbox", NULL);
	outbox_of(f)->queue = queue_open(dir, 2000, &error);
	g_assert_no_error(error);
	fill_inbox(f, uids, 1);
	config = (struct tree_config){.account = &f->account,
				      .index = f->index,
				      .bodies = f->bodies,
				      .state = f->state,
				      .engine = &f->engine,
				      .outbox = outbox_of(f)};
	tree_free(&f->tree);
	f->tree = tree_new(&config, &error);
	g_assert_no_error(error);
}

static void world_down(struct fixture *f, gconstpointer data)
{
	queue_close(&outbox_of(f)->queue);
	fixture_down(f, data);
}

/* --- short ways --- */

static inline uint64_t top(void)
{
	return tree_outbox_node(false);
}

static inline uint64_t bad(void)
{
	return tree_outbox_node(true);
}

static inline uint64_t message_node(uint32_t id)
{
	return node_outbox(NODE_OUTBOX_MESSAGE, id);
}

static inline int try_create(struct fixture *f, uint64_t parent, const char *name,
			     struct tree_file **ret)
{
	struct tree_file *file = NULL;
	struct tree_entry entry;
	int result = tree_create(f->tree, &f->call, parent, name, &entry, &file);

	if (result == 0 && ret != NULL)
		*ret = file;
	else if (result == 0)
		tree_close(f->tree, &file);
	return result;
}

static inline struct tree_file *must_create(struct fixture *f, const char *name)
{
	struct tree_file *file = NULL;

	g_assert_cmpint(try_create(f, top(), name, &file), ==, 0);
	g_assert_nonnull(file);
	return file;
}

static inline void put_text(struct fixture *f, struct tree_file *file, uint64_t offset,
			    const char *text)
{
	g_assert_cmpint(tree_write(f->tree, &f->call, file, offset, strlen(text), text), ==, 0);
}

/* As close(2): what it says, and then the kernel's news. */
static inline void shut(struct fixture *f, struct tree_file *file)
{
	g_assert_cmpint(tree_flush(f->tree, &f->call, file), ==, 0);
	tree_close(f->tree, &file);
	g_assert_null(file);
}

static inline uint32_t id_by_name(struct fixture *f, uint64_t dir, const char *name)
{
	return node_low(must_find(f, dir, name));
}

/* A closed file. */
static inline uint32_t make(struct fixture *f, const char *name, const char *text)
{
	struct tree_file *file = must_create(f, name);

	if (*text != '\0')
		put_text(f, file, 0, text);
	shut(f, file);
	return id_by_name(f, top(), name);
}

static inline int try_open(struct fixture *f, uint64_t node, int flags)
{
	struct tree_file *file = NULL;
	int result = tree_open(f->tree, &f->call, node, flags, &file);

	if (result == 0)
		tree_close(f->tree, &file);
	return result;
}

static inline struct tree_file *must_open(struct fixture *f, uint64_t node, int flags)
{
	struct tree_file *file = NULL;

	g_assert_cmpint(tree_open(f->tree, &f->call, node, flags, &file), ==, 0);
	return file;
}

static inline void assert_read(struct fixture *f, struct tree_file *file, const char *want)
{
	char buffer[100];
	size_t got;

	g_assert_cmpint(tree_read(f->tree, &f->call, file, 0, sizeof(buffer) - 1, buffer, &got), ==,
			0);
	buffer[got] = '\0';
	g_assert_cmpstr(buffer, ==, want);
}

static inline void assert_text(struct fixture *f, uint64_t node, const char *want)
{
	struct tree_file *file = must_open(f, node, O_RDONLY);

	assert_read(f, file, want);
	tree_close(f->tree, &file);
}

static inline enum queue_step step_of(struct fixture *f, uint32_t id)
{
	struct queue_file file;
	enum queue_step step;

	g_assert_true(queue_get(queue_of(f), id, &file));
	step = file.step;
	queue_file_clear(&file);
	return step;
}

static inline bool exists(struct fixture *f, uint32_t id)
{
	struct queue_file file;

	if (!queue_get(queue_of(f), id, &file))
		return false;
	queue_file_clear(&file);
	return true;
}

/* What the submitter has in hand from here: SENDING. Clear it. */
static inline void begin_sending(struct fixture *f, uint32_t id, struct queue_file *ret)
{
	g_autoptr(GError) error = NULL;
	int64_t next_ms;
	int fd = -1;

	g_assert_true(queue_take(queue_of(f), 0, true, ret, &fd, &next_ms));
	g_assert_cmpuint(ret->id, ==, id);
	close(fd);
	queue_commit(queue_of(f), ret, &error);
	g_assert_no_error(error);
}

static inline void end_sending(struct fixture *f, struct queue_file *file, enum queue_step step)
{
	g_autoptr(GError) error = NULL;

	if (step == QUEUE_FAILED) {
		file->info.error = EACCES;
		file->info.reply = g_strdup("550 no");
	}
	queue_finish(queue_of(f), file, step, &error);
	g_assert_no_error(error);
	queue_file_clear(file);
}

static inline void finish(struct fixture *f, uint32_t id, enum queue_step step)
{
	struct queue_file file;

	begin_sending(f, id, &file);
	end_sending(f, &file, step);
}

static inline uint32_t make_failed(struct fixture *f, const char *name)
{
	uint32_t id = make(f, name, "text");

	finish(f, id, QUEUE_FAILED);
	return id;
}

static inline int unlink_in(struct fixture *f, uint64_t parent, const char *name)
{
	return tree_unlink(f->tree, &f->call, parent, name);
}

static inline int rename_to(struct fixture *f, uint64_t parent, const char *name,
			    uint64_t new_parent, const char *new_name)
{
	return tree_rename(f->tree, &f->call, parent, name, new_parent, new_name, 0);
}

static inline int set_size(struct fixture *f, uint64_t node, struct tree_file *file, uint64_t size)
{
	struct tree_setattr setattr = {.set_size = true, .size = size};
	struct tree_entry entry;

	return tree_setattr(f->tree, &f->call, node, file, &setattr, &entry);
}

static inline void assert_entry(struct fixture *f, uint64_t node, mode_t mode, off_t size)
{
	struct tree_entry entry;

	g_assert_cmpint(tree_getattr(f->tree, &f->call, node, &entry), ==, 0);
	g_assert_cmpuint(entry.node, ==, node);
	g_assert_cmpuint(entry.attr.st_mode, ==, mode);
	if (!S_ISDIR(mode))
		g_assert_cmpint(entry.attr.st_size, ==, size);
	g_assert_true(entry.volatile_attr);
	g_assert_true(entry.volatile_name);
}

static inline void assert_count(struct fixture *f, uint64_t node, uint32_t want)
{
	int64_t generation;
	uint32_t entries;

	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &generation, &entries), ==, 0);
	g_assert_cmpuint(entries, ==, want);
}

static inline int64_t generation_of(struct fixture *f, uint64_t node)
{
	int64_t generation;
	uint32_t entries;

	g_assert_cmpint(tree_opendir(f->tree, &f->call, node, &generation, &entries), ==, 0);
	return generation;
}

#define WORLD_TEST(path, function)                                                                 \
	g_test_add_vtable(path, sizeof(struct world), NULL, (GTestFixtureFunc)world_up,            \
			  (GTestFixtureFunc)(function), (GTestFixtureFunc)world_down)
