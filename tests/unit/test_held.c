#include "cache/held.h"

#include "base/file.h"
#include "cache/bodies.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define EPOCH 7u
#define MAX_BYTES 100
#define ROUNDS 2000

struct fixture {
	char *dir;
	struct bodies *bodies;
	struct held *held;
	bool packed;
};

static void setup(struct fixture *f, const void *data)
{
	f->packed = data != NULL;
	f->dir = g_dir_make_tmp("held-XXXXXX", NULL);
	f->bodies = bodies_open(f->dir, MAX_BYTES, NULL);
	g_assert_nonnull(f->bodies);
	f->held = bodies_held(f->bodies);
}

static void teardown(struct fixture *f, const void *data)
{
	bodies_close(&f->bodies);
	g_assert_true(file_remove_tree(f->dir, NULL));
	g_free(f->dir);
}

static void make(struct fixture *f, uint32_t uid, const char *text)
{
	uint64_t received;

	bodies_part_begin(f->bodies, EPOCH, uid, &received);
	g_assert_true(bodies_part_write(f->bodies, EPOCH, uid, 0, text, strlen(text), NULL));
	if (!f->packed)
		bodies_part_publish(f->bodies, EPOCH, uid, 1);
	g_assert_true(bodies_part_commit(f->bodies, EPOCH, uid, strlen(text), NULL));
}

static void see(struct fixture *f, uint32_t uid, uint64_t size)
{
	struct file_span span;

	g_assert_true(bodies_get(f->bodies, EPOCH, uid, size, &span));
	g_assert_cmpuint(span.size, ==, size);
	close(span.fd);
}

static void make_seen(struct fixture *f, uint32_t uid, const char *text)
{
	make(f, uid, text);
	see(f, uid, strlen(text));
}

static void assert_reads(struct held_body **body, const char *text)
{
	char bytes[MAX_BYTES + 1] = "";
	struct file_span span;

	g_assert_true(held_open(body, &span));
	g_assert_null(*body);
	g_assert_cmpuint(span.size, ==, strlen(text));
	g_assert_cmpint(pread(span.fd, bytes, span.size, (off_t)span.start), ==, (gssize)span.size);
	g_assert_cmpstr(bytes, ==, text);
	close(span.fd);
}

/* Of the first message. */
static char *path_of(const struct fixture *f)
{
	return f->packed ? g_build_filename(f->dir, "packs", "1.pack", NULL)
			 : g_build_filename(f->dir, "bodies", "7", "1", NULL);
}

/* The next descriptor tells whether any was opened meanwhile. */
static int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void test_no_descriptor(struct fixture *f, const void *data)
{
	struct held_body *one, *two;
	int fd;

	make_seen(f, 1, "hello");
	fd = next_fd();
	one = held_take(f->held, EPOCH, 1, 5);
	two = held_take(f->held, EPOCH, 1, 5);
	g_assert_nonnull(one);
	g_assert_nonnull(two);
	g_assert_cmpint(next_fd(), ==, fd);
	assert_reads(&one, "hello");
	held_release(&two);
	g_assert_null(two);
	g_assert_cmpint(next_fd(), ==, fd);
}

/* What was just put into a pack need not be looked at. */
static void test_new(struct fixture *f, const void *data)
{
	struct held_body *body;

	make(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	g_assert_cmpint(held_knows(f->held, EPOCH, 1), ==, f->packed);
	if (f->packed)
		assert_reads(&body, "hello");
	g_assert_null(body);
}

static void test_unknown(struct fixture *f, const void *data)
{
	make_seen(f, 1, "hello");
	g_assert_null(held_take(f->held, EPOCH, 1, 4));
	g_assert_null(held_take(f->held, EPOCH, 2, 5));
	g_assert_null(held_take(f->held, EPOCH + 1, 1, 5));
	g_assert_true(held_knows(f->held, EPOCH, 1));
	g_assert_false(held_knows(f->held, EPOCH, 2));
	g_assert_false(held_knows(f->held, EPOCH + 1, 1));
}

/* All who hold it read on, whether they came first, in the middle or last; nobody new gets it. */
static void test_dropped(struct fixture *f, const void *data)
{
	struct held_body *bodies[3];
	int fd = next_fd();

	make_seen(f, 1, "hello");
	for (guint i = 0; i < G_N_ELEMENTS(bodies); i++)
		bodies[i] = held_take(f->held, EPOCH, 1, 5);
	bodies_drop(f->bodies, EPOCH, 1);
	g_assert_null(held_take(f->held, EPOCH, 1, 5));
	assert_reads(&bodies[1], "hello");
	assert_reads(&bodies[2], "hello");
	held_release(&bodies[0]);
	g_assert_cmpint(next_fd(), ==, fd);
}

static void test_dropped_with_its_folder(struct fixture *f, const void *data)
{
	struct held_body *body;

	make_seen(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	bodies_drop_epoch(f->bodies, EPOCH);
	assert_reads(&body, "hello");
}

static void test_evicted(struct fixture *f, const void *data)
{
	g_autofree char *large = g_strnfill(MAX_BYTES - 2, 'x');
	g_autofree char *path = path_of(f);
	struct held_body *body;

	make_seen(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	make(f, 2, large);
	bodies_evict(f->bodies);
	g_assert_cmpint(access(path, F_OK), <, 0);
	assert_reads(&body, "hello");
}

/* Found to be of another size by who looks at it. */
static void test_removed_as_wrong(struct fixture *f, const void *data)
{
	struct file_span span;

	make_seen(f, 1, "hello");
	g_assert_false(bodies_get(f->bodies, EPOCH, 1, 6, &span));
	g_assert_null(held_take(f->held, EPOCH, 1, 5));
}

/* Another one of the same UID is not taken for it. */
static void test_replaced(struct fixture *f, const void *data)
{
	struct held_body *body;

	make_seen(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	bodies_drop(f->bodies, EPOCH, 1);
	make_seen(f, 1, "another");
	assert_reads(&body, "hello");
	body = held_take(f->held, EPOCH, 1, 7);
	assert_reads(&body, "another");
}

static void test_removed_by_hand(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f);
	struct held_body *body;
	struct file_span span;

	make_seen(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_false(held_open(&body, &span));
	g_assert_null(body);
}

static void test_altered_by_hand(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f);
	struct held_body *body;
	struct file_span span;

	make_seen(f, 1, "hello");
	body = held_take(f->held, EPOCH, 1, 5);
	g_assert_cmpint(truncate(path, 4), ==, 0);
	g_assert_false(held_open(&body, &span));
}

/* What was seen before a removal may have been what was removed. */
static void test_seen_too_early(struct fixture *f, const void *data)
{
	uint64_t removals = held_removals(f->held);

	held_going(f->held, EPOCH, 1);
	held_note(f->held, EPOCH, 1, 5, removals);
	g_assert_null(held_take(f->held, EPOCH, 1, 5));
	held_note(f->held, EPOCH, 1, 5, held_removals(f->held));
	struct held_body *body = held_take(f->held, EPOCH, 1, 5);

	g_assert_nonnull(body);
	held_release(&body);
}

static void *read_often(void *data)
{
	struct fixture *f = data;

	for (int i = 0; i < ROUNDS; i++) {
		struct held_body *body = held_take(f->held, EPOCH, 1, 5);

		if (body && i % 2)
			held_release(&body);
		else if (body)
			assert_reads(&body, "hello");
	}
	return NULL;
}

static void test_readers_beside_removals(struct fixture *f, const void *data)
{
	pthread_t threads[2];

	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, read_often, f), ==, 0);
	for (int i = 0; i < ROUNDS / 10; i++) {
		make_seen(f, 1, "hello");
		bodies_drop(f->bodies, EPOCH, 1);
	}
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
}

#define ADD(name, function)                                                                        \
	do {                                                                                       \
		g_test_add("/held" name, struct fixture, NULL, setup, function, teardown);         \
		g_test_add("/held/packed" name, struct fixture, "", setup, function, teardown);    \
	} while (0)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/no-descriptor", test_no_descriptor);
	ADD("/new", test_new);
	ADD("/unknown", test_unknown);
	ADD("/dropped", test_dropped);
	ADD("/dropped-with-its-folder", test_dropped_with_its_folder);
	ADD("/evicted", test_evicted);
	ADD("/removed-as-wrong", test_removed_as_wrong);
	ADD("/replaced", test_replaced);
	ADD("/removed-by-hand", test_removed_by_hand);
	ADD("/altered-by-hand", test_altered_by_hand);
	ADD("/seen-too-early", test_seen_too_early);
	ADD("/readers-beside-removals", test_readers_beside_removals);
	return g_test_run();
}
