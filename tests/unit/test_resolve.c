#include "base/error.h"
#include "base/limits.h"
#include "fake_resolver.h"
#include "net/resolve.h"

#include <arpa/inet.h>
#include <poll.h>

#define PATIENCE_MS 20000

static struct resolve *start(const char *host)
{
	GError *error = NULL;
	struct resolve *resolve = resolve_start(host, 993, &error);

	g_assert_no_error(error);
	return resolve;
}

static void await(const struct resolve *resolve)
{
	struct pollfd fd = {.fd = resolve_fd(resolve), .events = POLLIN};

	g_assert_cmpint(poll(&fd, 1, PATIENCE_MS), ==, 1);
}

static void test_numeric(void)
{
	struct resolve *resolve = start("127.0.0.1");
	union resolve_address found[LIMIT_ADDRESSES];
	unsigned count = 0;

	await(resolve);
	g_assert_cmpint(resolve_finish(resolve, found, &count, NULL), ==, 1);
	g_assert_cmpuint(count, ==, 1);
	g_assert_cmpint(found[0].any.sa_family, ==, AF_INET);
	g_assert_cmpint(ntohs(found[0].v4.sin_port), ==, 993);
	g_assert_cmpuint(ntohl(found[0].v4.sin_addr.s_addr), ==, INADDR_LOOPBACK);
	g_assert_cmpint(resolve_address_len(&found[0]), ==, sizeof(struct sockaddr_in));
	resolve_free(&resolve);
}

static void test_unknown(void)
{
	struct resolve *resolve = start("unknown.invalid");
	union resolve_address found[LIMIT_ADDRESSES];
	unsigned count = 77;
	GError *error = NULL;

	await(resolve);
	g_assert_cmpint(resolve_finish(resolve, found, &count, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_NO_HOST);
	g_assert_cmpuint(count, ==, 77);
	g_error_free(error);
	resolve_free(&resolve);
}

static void test_free_while_it_hangs(void)
{
	struct resolve *kept, *freed;
	unsigned count;
	GError *error = NULL;
	union resolve_address found[LIMIT_ADDRESSES];

	kept = start("hang.invalid");
	freed = start("hang.invalid");
	fake_await_hanging(2);
	g_assert_cmpint(resolve_finish(kept, found, &count, &error), ==, 0);
	g_assert_no_error(error);
	resolve_free(&freed);
	g_assert_null(freed);
	resolve_free(&freed);
	fake_release(true);
	await(kept);
	g_assert_cmpint(resolve_finish(kept, found, &count, &error), ==, -1);
	g_assert_error(error, MAILFS_ERROR, ERROR_NO_HOST);
	g_error_free(error);
	resolve_free(&kept);
	fake_await_hanging(0);
	fake_release(false);
}

static void test_free_in_a_race(void)
{
	for (int i = 0; i < 200; i++) {
		struct resolve *resolve = start("unknown.invalid");

		if (i % 2)
			await(resolve);
		resolve_free(&resolve);
	}
}

static unsigned resolve_list(const char *list, union resolve_address ret[LIMIT_ADDRESSES])
{
	struct resolve *resolve;
	struct pollfd fd = {.events = POLLIN};
	unsigned count = 0;
	GError *error = NULL;

	fake_set_list(list);
	resolve = resolve_start("fake.invalid", 1, &error);
	g_assert_no_error(error);
	fd.fd = resolve_fd(resolve);
	g_assert_cmpint(poll(&fd, 1, PATIENCE_MS), ==, 1);
	g_assert_cmpint(resolve_finish(resolve, ret, &count, &error), ==, 1);
	resolve_free(&resolve);
	g_assert_null(resolve);
	fake_set_list(NULL);
	return count;
}

static void test_order(void)
{
	union resolve_address found[LIMIT_ADDRESSES];
	static const uint16_t expected[] = {1, 4, 2, 5, 3};

	g_assert_cmpuint(resolve_list("::1 1;::1 2;::1 3;127.0.0.1 4;127.0.0.1 5", found), ==, 5);
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
		bool v6 = found[i].any.sa_family == AF_INET6;

		g_assert_cmpint(v6, ==, expected[i] <= 3);
		g_assert_cmpint(ntohs(v6 ? found[i].v6.sin6_port : found[i].v4.sin_port), ==,
				expected[i]);
	}
	g_assert_cmpuint(resolve_list("127.0.0.1 4;::1 1", found), ==, 2);
	g_assert_cmpint(found[0].any.sa_family, ==, AF_INET);
}

static void test_limit(void)
{
	union resolve_address found[LIMIT_ADDRESSES];

	for (unsigned given = LIMIT_ADDRESSES - 1; given <= LIMIT_ADDRESSES + 1; given++) {
		g_autoptr(GString) list = g_string_new("127.0.0.1 1");

		for (unsigned i = 1; i < given; i++)
			g_string_append(list, i % 2 ? ";::1 1" : ";127.0.0.1 1");
		g_assert_cmpuint(resolve_list(list->str, found), ==, MIN(given, LIMIT_ADDRESSES));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/resolve/numeric", test_numeric);
	g_test_add_func("/resolve/unknown", test_unknown);
	g_test_add_func("/resolve/free-while-it-hangs", test_free_while_it_hangs);
	g_test_add_func("/resolve/free-in-a-race", test_free_in_a_race);
	g_test_add_func("/resolve/order", test_order);
	g_test_add_func("/resolve/limit", test_limit);
	return g_test_run();
}
