/* What the kernel is told, read from the session that tells it: nothing is mounted. */
#include "fuse/known.h"
#include "fuse/library.h"
#include "fuse/notify.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EPOCH UINT64_C(0x2000000700000000)
#define OTHER UINT64_C(0x2000000800000000)
#define FOLDER UINT64_C(0x1000000300000000)
#define MANY (20u * NOTIFY_MAX)
#define HALF (NOTIFY_MAX / 2)

struct desk {
	struct fuse_session *session;
	struct known *known;
	struct notify *notify;
	uint64_t hidden; /* a message that is not listed, "hidden" in FOLDER */

	pthread_mutex_t mutex; /* over the rest */
	pthread_cond_t changed;
	bool open; /* the kernel takes what it is told */
	unsigned waits;
	GHashTable *attrs; /* what was told, and how often */
	GHashTable *names;
};

static struct desk *the_desk; /* libfuse's userdata is the session's own */

static void count(GHashTable *table, gpointer key)
{
	g_hash_table_insert(
		table, key,
		GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(table, key)) + 1));
}

static void take_locked(struct desk *desk, const char *bytes)
{
	struct fuse_out_header header;
	struct fuse_notify_inval_inode_out node;
	const char *name = bytes + sizeof(header) + sizeof(struct fuse_notify_inval_entry_out);

	memcpy(&header, bytes, sizeof(header));
	memcpy(&node, bytes + sizeof(header), sizeof(node.ino));
	if (header.error == FUSE_NOTIFY_INVAL_INODE)
		count(desk->attrs, GSIZE_TO_POINTER(node.ino));
	else if (header.error == FUSE_NOTIFY_INVAL_ENTRY)
		count(desk->names, g_strdup(name));
}

static ssize_t kernel_takes(int fd, struct iovec *iov, int number, void *userdata)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct desk *desk = the_desk;
	struct fuse_out_header header;

	for (int i = 0; i < number; i++)
		g_byte_array_append(bytes, iov[i].iov_base, (guint)iov[i].iov_len);
	memcpy(&header, bytes->data, sizeof(header));
	if (header.unique)
		return (ssize_t)bytes->len; /* an answer */
	g_byte_array_append(bytes, (const guint8 *)"", 1);
	pthread_mutex_lock(&desk->mutex);
	desk->waits++;
	pthread_cond_broadcast(&desk->changed);
	while (!desk->open)
		pthread_cond_wait(&desk->changed, &desk->mutex);
	desk->waits--;
	take_locked(desk, (const char *)bytes->data);
	pthread_cond_broadcast(&desk->changed);
	pthread_mutex_unlock(&desk->mutex);
	return (ssize_t)bytes->len - 1;
}

static ssize_t kernel_asks(int fd, void *bytes, size_t size, void *userdata)
{
	return 0;
}

static void let(struct desk *desk, bool open)
{
	pthread_mutex_lock(&desk->mutex);
	desk->open = open;
	pthread_cond_broadcast(&desk->changed);
	pthread_mutex_unlock(&desk->mutex);
}

/* The notifier is in the middle of one. */
static void wait_until_stuck(struct desk *desk)
{
	pthread_mutex_lock(&desk->mutex);
	while (!desk->waits)
		pthread_cond_wait(&desk->changed, &desk->mutex);
	pthread_mutex_unlock(&desk->mutex);
}

static unsigned told_locked(GHashTable *table, gconstpointer key)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(table, key));
}

static unsigned attrs_told(struct desk *desk, uint64_t node)
{
	unsigned told;

	pthread_mutex_lock(&desk->mutex);
	told = told_locked(desk->attrs, GSIZE_TO_POINTER(node));
	pthread_mutex_unlock(&desk->mutex);
	return told;
}

static unsigned names_told(struct desk *desk, const char *name)
{
	unsigned told;

	pthread_mutex_lock(&desk->mutex);
	told = told_locked(desk->names, name);
	pthread_mutex_unlock(&desk->mutex);
	return told;
}

static unsigned number_of(struct desk *desk, GHashTable *table)
{
	unsigned number;

	pthread_mutex_lock(&desk->mutex);
	number = g_hash_table_size(table);
	pthread_mutex_unlock(&desk->mutex);
	return number;
}

/* That of a node, as often. */
static void wait_attr(struct desk *desk, uint64_t node, unsigned times)
{
	pthread_mutex_lock(&desk->mutex);
	while (told_locked(desk->attrs, GSIZE_TO_POINTER(node)) < times)
		pthread_cond_wait(&desk->changed, &desk->mutex);
	pthread_mutex_unlock(&desk->mutex);
}

static void say_hidden(void *data, const uint64_t *nodes, size_t number)
{
	struct desk *desk = data;

	for (size_t i = 0; i < number; i++)
		if (nodes[i] == desk->hidden)
			notify_name(desk->notify, FOLDER, g_strdup("hidden"), nodes[i]);
}

static void say_init(struct desk *desk)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in init;
	} hello = {.header = {.len = sizeof(hello), .opcode = FUSE_INIT, .unique = 1},
		   .init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION}};
	const struct fuse_buf buf = {.size = sizeof(hello), .mem = &hello};

	fuse_session_process_buf(desk->session, &buf);
}

static struct desk *desk_new(void)
{
	static const struct fuse_custom_io io = {.read = kernel_asks, .writev = kernel_takes};
	static const struct fuse_lowlevel_ops ops;
	struct desk *desk = the_desk = g_new0(struct desk, 1);
	char *words[] = {(char *)"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, words);

	desk->session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	g_assert_nonnull(desk->session);
	fuse_opt_free_args(&args);
	g_assert_cmpint(
		fuse_session_custom_io(desk->session, &io, open("/dev/null", O_RDWR | O_CLOEXEC)),
		==, 0);
	pthread_mutex_init(&desk->mutex, NULL);
	pthread_cond_init(&desk->changed, NULL);
	desk->attrs = g_hash_table_new(NULL, NULL);
	desk->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	say_init(desk);
	desk->known = known_new();
	desk->notify = notify_new(desk->session, desk->known);
	notify_set_source(desk->notify, NULL, say_hidden, desk);
	notify_start(desk->notify);
	return desk;
}

static void desk_free(struct desk *desk)
{
	let(desk, true);
	notify_free(&desk->notify);
	known_free(&desk->known);
	fuse_session_destroy(desk->session);
	g_hash_table_unref(desk->attrs);
	g_hash_table_unref(desk->names);
	pthread_cond_destroy(&desk->changed);
	pthread_mutex_destroy(&desk->mutex);
	g_free(desk);
}

/* So that all that comes waits. */
static void stop_the_kernel(struct desk *desk)
{
	notify_attr(desk->notify, OTHER | 1);
	wait_until_stuck(desk);
}

static void push_names(struct desk *desk, uint64_t epoch, unsigned first, unsigned last)
{
	for (unsigned i = first; i <= last; i++) {
		known_add(desk->known, FOLDER, epoch | i);
		notify_name(desk->notify, FOLDER, g_strdup_printf("%u", i), epoch | i);
	}
}

/* Everything is told as it came. */
static void test_up_to_the_limit(void)
{
	struct desk *desk = desk_new();

	known_add(desk->known, FOLDER, EPOCH | (NOTIFY_MAX + 1));
	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, NOTIFY_MAX - 1);
	notify_attr(desk->notify, OTHER | 2);
	let(desk, true);
	wait_attr(desk, OTHER | 2, 1);
	g_assert_cmpuint(names_told(desk, "1"), ==, 1);
	g_assert_cmpuint(number_of(desk, desk->names), ==, NOTIFY_MAX - 1);
	g_assert_cmpuint(attrs_told(desk, EPOCH | 1), ==, 0);
	desk_free(desk);
}

/* The last one more is told by the attributes of all that it is one of. */
static void test_one_more(void)
{
	struct desk *desk = desk_new();

	known_add(desk->known, FOLDER, OTHER | 7);
	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, NOTIFY_MAX + 1);
	let(desk, true);
	wait_attr(desk, EPOCH | (NOTIFY_MAX + 1), 1);
	g_assert_cmpuint(number_of(desk, desk->names), ==, NOTIFY_MAX);
	g_assert_cmpuint(attrs_told(desk, EPOCH | 1), ==, 1);
	g_assert_cmpuint(attrs_told(desk, OTHER | 7), ==, 0);
	desk_free(desk);
}

static void test_very_many(void)
{
	struct desk *desk = desk_new();

	desk->hidden = EPOCH | (MANY - 1);
	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, MANY);
	for (unsigned i = 1; i <= MANY; i++)
		notify_attr(desk->notify, EPOCH | i);
	/* The root is none of those that are known. */
	notify_attr(desk->notify, FUSE_ROOT_ID);
	let(desk, true);
	wait_attr(desk, EPOCH | MANY, 1);
	for (unsigned i = 1; i <= MANY; i++)
		g_assert_cmpuint(attrs_told(desk, EPOCH | i), ==, 1);
	g_assert_cmpuint(attrs_told(desk, FUSE_ROOT_ID), ==, 1);
	g_assert_cmpuint(names_told(desk, "hidden"), ==, 1);
	g_assert_cmpuint(number_of(desk, desk->names), ==, NOTIFY_MAX + 1);
	desk_free(desk);
}

/* In many folders at once: all that is known. */
static void test_of_many_folders(void)
{
	const uint64_t last = EPOCH + (UINT64_C(999) << 32);
	struct desk *desk = desk_new();

	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, NOTIFY_MAX);
	for (uint64_t i = 1; i < 1000; i++)
		push_names(desk, EPOCH + (i << 32), 5, 6);
	known_add(desk->known, 1, FOLDER);
	let(desk, true);
	wait_attr(desk, last | 6, 1);
	for (uint64_t i = 1; i < 1000; i++)
		g_assert_cmpuint(attrs_told(desk, (EPOCH + (i << 32)) | 6), ==, 1);
	g_assert_cmpuint(attrs_told(desk, FOLDER), ==, 1);
	desk_free(desk);
}

/* What stands for nothing that is known by its number. */
static void test_name_alone(void)
{
	struct desk *desk = desk_new();

	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, NOTIFY_MAX);
	notify_name(desk->notify, FOLDER, g_strdup("new"), 0);
	let(desk, true);
	wait_attr(desk, EPOCH | NOTIFY_MAX, 1);
	desk_free(desk);
}

static void test_siblings(void)
{
	struct desk *desk = desk_new();

	let(desk, true);
	for (unsigned i = 1; i <= 1000; i++)
		known_add(desk->known, FOLDER, EPOCH | i);
	known_add(desk->known, FOLDER, OTHER | 1);
	desk->hidden = EPOCH | 3;
	notify_siblings(desk->notify, EPOCH | 1);
	wait_attr(desk, EPOCH | 1000, 1);
	g_assert_cmpuint(number_of(desk, desk->attrs), ==, 1000);
	g_assert_cmpuint(names_told(desk, "hidden"), ==, 0);
	desk_free(desk);
}

/* Names of a directory in which somebody waits: told behind it, and few are kept so long. */
static void test_held(void)
{
	struct desk *desk = desk_new();

	let(desk, true);
	desk->hidden = EPOCH | 9;
	notify_hold(desk->notify, FOLDER);
	/* Never more than the queue takes: the root is told behind them. */
	for (unsigned i = 0; i < MANY / HALF; i++) {
		push_names(desk, EPOCH, i * HALF + 1, (i + 1) * HALF);
		notify_attr(desk->notify, FUSE_ROOT_ID);
		wait_attr(desk, FUSE_ROOT_ID, i + 1);
	}
	/* Others are told meanwhile. */
	for (unsigned i = 1; i <= 100; i++) {
		notify_attr(desk->notify, OTHER | 1);
		wait_attr(desk, OTHER | 1, i);
	}
	g_assert_cmpuint(number_of(desk, desk->names), ==, 0);
	g_assert_cmpuint(names_told(desk, "hidden"), ==, 0);
	notify_release(desk->notify, FOLDER);
	wait_attr(desk, EPOCH | MANY, 1);
	g_assert_cmpuint(names_told(desk, "1"), ==, 1);
	g_assert_cmpuint(names_told(desk, "hidden"), >=, 1);
	g_assert_cmpuint(number_of(desk, desk->names), <=, NOTIFY_MAX);
	desk_free(desk);
}

static void test_ends_in_the_middle(void)
{
	struct desk *desk = desk_new();

	stop_the_kernel(desk);
	push_names(desk, EPOCH, 1, MANY);
	notify_hold(desk->notify, FOLDER);
	let(desk, true);
	wait_attr(desk, OTHER | 1, 1);
	desk_free(desk);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notify/up_to_the_limit", test_up_to_the_limit);
	g_test_add_func("/notify/one_more", test_one_more);
	g_test_add_func("/notify/very_many", test_very_many);
	g_test_add_func("/notify/of_many_folders", test_of_many_folders);
	g_test_add_func("/notify/name_alone", test_name_alone);
	g_test_add_func("/notify/siblings", test_siblings);
	g_test_add_func("/notify/held", test_held);
	g_test_add_func("/notify/ends_in_the_middle", test_ends_in_the_middle);
	return g_test_run();
}
