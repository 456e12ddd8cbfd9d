/* Links that fail, or nearly: refused, cut, silent, at another address. */
#include "base/limits.h"
#include "fake_resolver.h"
#include "link_fixture.h"

/* --- What fails --- */

static void test_not_tls(const void *data)
{
	const struct pki *pki = data;
	struct server plain = {.script = SCRIPT_GREET};
	struct server old = tls_server(pki, SCRIPT_ECHO);

	server_start(&plain);
	assert_never_opens(new_link("localhost", plain.port, pki->ca_file), ERROR_TLS,
			   "localhost:* does not speak TLS");
	stop(NULL, &plain);

	old.max_version = TLS1_1_VERSION;
	server_start(&old);
	assert_never_opens(new_link("localhost", old.port, pki->ca_file), ERROR_TLS,
			   "localhost:* does not speak TLS 1.2 or newer");
	stop(NULL, &old);
}

static void test_refused(void)
{
	assert_never_opens(new_link("localhost", closed_port(), NULL), ERROR_UNREACHABLE,
			   "cannot connect to localhost:*: Connection refused");
}

static void test_unknown_name(void)
{
	assert_never_opens(new_link("unknown.invalid", 993, NULL), ERROR_NO_HOST,
			   "no address for unknown.invalid: ?*");
}

static void check_ending(const struct pki *pki, enum script script, const char *glob)
{
	struct server server = {.script = script, .key = pki ? pki->key : NULL};
	struct link *link;
	char bytes[16];
	GError *error = NULL;

	server.certificate = pki ? pki->good : NULL;
	server_start(&server);
	link = new_link("127.0.0.1", server.port, pki ? pki->ca_file : NULL);
	drive_open(link);
	assert_reads(link, "hello");
	if (script == SCRIPT_HELLO_RESET)
		g_assert_cmpint(link_write(link, "x", 1, &error), ==, 1);
	g_assert_cmpint(read_some(link, bytes, sizeof(bytes), &error), ==, -1);
	assert_failure(g_steal_pointer(&error), ERROR_UNREACHABLE, glob);
	g_assert_cmpint(link_write(link, "x", 1, &error), ==, -1);
	assert_failure(error, ERROR_UNREACHABLE, glob);
	g_assert_cmpint(link_state(link), ==, LINK_DEAD);
	stop(link, &server);
}

static void test_endings(const void *pki)
{
	check_ending(NULL, SCRIPT_HELLO_CLOSE, "127.0.0.1:* closed the connection");
	check_ending(NULL, SCRIPT_HELLO_RESET, "connection to 127.0.0.1:* lost: Connection reset*");
	check_ending(pki, SCRIPT_HELLO_CLOSE, "127.0.0.1:* closed the connection");
	check_ending(pki, SCRIPT_HELLO_CUT, "connection to 127.0.0.1:* lost");
	check_ending(pki, SCRIPT_HELLO_RESET, "connection to 127.0.0.1:* lost: Connection reset*");
}

/* A SIGPIPE would end the test here: the peer has closed, and its answer to the first bytes is that
 * nobody takes them. */
static void check_write_to_nobody(const struct pki *pki)
{
	struct server server = {.script = SCRIPT_HELLO_CUT, .key = pki ? pki->key : NULL};
	struct pollfd closed = {.events = POLLRDHUP};
	struct link *link;
	GError *error = NULL;

	server.certificate = pki ? pki->good : NULL;
	server_start(&server);
	link = new_link("127.0.0.1", server.port, pki ? pki->ca_file : NULL);
	drive_open(link);
	assert_reads(link, "hello");
	closed.fd = link_fd(link);
	g_assert_cmpint(poll(&closed, 1, PATIENCE_MS), ==, 1);
	while (link_write(link, "x", 1, &error) >= 0)
		await(link, true);
	assert_failure(error, ERROR_UNREACHABLE, "connection to 127.0.0.1:* lost: Broken pipe");
	stop(link, &server);
}

static void test_write_to_nobody(const void *pki)
{
	check_write_to_nobody(NULL);
	check_write_to_nobody(pki);
}

static void test_handshake_cut(const void *data)
{
	const struct pki *pki = data;
	struct server server = tls_server(pki, SCRIPT_HANDSHAKE_CUT);

	server_start(&server);
	assert_never_opens(new_link("127.0.0.1", server.port, pki->ca_file), ERROR_UNREACHABLE,
			   "connection to 127.0.0.1:* lost during the TLS handshake*");
	stop(NULL, &server);
}

/* --- Deadlines --- */

static void assert_times_out(struct link *link, int64_t now_ms, const char *glob)
{
	GError *error = NULL;

	g_assert_false(link_step(link, now_ms, &error));
	assert_failure(error, ERROR_TIMEOUT, glob);
	g_assert_cmpint(link_state(link), ==, LINK_DEAD);
}

static void test_handshake_stall(const void *data)
{
	const struct pki *pki = data;
	struct server server = {.script = SCRIPT_SILENT};
	struct link *link;
	int64_t deadline_ms;

	server_start(&server);
	link = new_link("127.0.0.1", server.port, pki->ca_file);
	g_assert_true(drive(link, LINK_HANDSHAKE, NULL));
	deadline_ms = link_deadline_ms(link);
	g_assert_cmpint(deadline_ms, <=, clock_mono_ms() + LIMIT_CONNECT_MS);
	g_assert_true(link_step(link, deadline_ms - 1, NULL));
	assert_times_out(link, deadline_ms,
			 "no answer from 127.0.0.1:* to the TLS handshake in 30 s");
	stop(link, &server);
}

static void test_connect_stall(void)
{
	struct black_hole hole;
	struct link *link;
	int64_t deadline_ms;

	black_hole_open(&hole);
	link = new_link("127.0.0.1", hole.port, NULL);
	g_assert_true(drive(link, LINK_CONNECTING, NULL));
	deadline_ms = link_deadline_ms(link);
	g_assert_cmpint(deadline_ms, >, clock_mono_ms() + LIMIT_CONNECT_SHARE_MS);
	g_assert_true(link_step(link, deadline_ms - 1, NULL));
	g_assert_cmpint(link_state(link), ==, LINK_CONNECTING);
	assert_times_out(link, deadline_ms, "no answer from 127.0.0.1:* in 30 s");
	link_free(&link);
	black_hole_close(&hole);
}

static void test_lookup_hangs(void)
{
	struct link *link, *abandoned;

	fake_release(false);
	link = new_link("hang.invalid", 993, NULL);
	abandoned = new_link("hang.invalid", 993, NULL);
	g_assert_true(link_step(link, clock_mono_ms(), NULL));
	g_assert_true(link_step(abandoned, clock_mono_ms(), NULL));
	fake_await_hanging(2);
	g_assert_cmpint(link_events(link, false), ==, POLLIN);
	g_assert_cmpint(link_fd(link), >=, 0);
	link_free(&abandoned);

	g_assert_true(link_step(link, link_deadline_ms(link) - 1, NULL));
	assert_times_out(link, link_deadline_ms(link),
			 "no answer to the look-up of hang.invalid in 30 s");
	link_free(&link);
	fake_release(true);
	fake_await_hanging(0);
}

/* --- Several addresses --- */

static void test_next_address(void)
{
	struct server server = {.script = SCRIPT_ECHO};
	struct link *link;
	g_autofree char *list = NULL;

	server_start(&server);
	list = g_strdup_printf("127.0.0.1 %u;127.0.0.1 %u", closed_port(), server.port);
	fake_set_list(list);
	link = new_link("fake.invalid", 1, NULL);
	drive_open(link);
	assert_echo(link, "abc");
	stop(link, &server);
	fake_set_list(NULL);
}

static void test_black_hole_first(void)
{
	struct server server = {.script = SCRIPT_ECHO};
	struct black_hole hole;
	struct link *link;
	int64_t deadline_ms;
	g_autofree char *list = NULL;

	black_hole_open(&hole);
	server_start(&server);
	list = g_strdup_printf("127.0.0.1 %u;127.0.0.1 %u", hole.port, server.port);
	fake_set_list(list);
	link = new_link("fake.invalid", 1, NULL);
	g_assert_true(drive(link, LINK_CONNECTING, NULL));
	deadline_ms = link_deadline_ms(link);
	g_assert_cmpint(deadline_ms, <=, clock_mono_ms() + LIMIT_CONNECT_SHARE_MS);
	g_assert_true(link_step(link, deadline_ms, NULL));
	drive_open(link);
	assert_echo(link, "abc");
	stop(link, &server);
	black_hole_close(&hole);
	fake_set_list(NULL);
}

/* A refusal says more than the silence of the others. */
static void test_best_explanation(void)
{
	struct black_hole hole;
	struct link *link;
	GError *error = NULL;
	g_autofree char *list = NULL;

	black_hole_open(&hole);
	list = g_strdup_printf("127.0.0.1 %u;127.0.0.1 %u", closed_port(), hole.port);
	fake_set_list(list);
	link = new_link("fake.invalid", 1, NULL);
	g_assert_true(drive(link, LINK_CONNECTING, NULL));
	while (link_step(link, clock_mono_ms(), &error) &&
	       link_deadline_ms(link) <= clock_mono_ms() + LIMIT_CONNECT_SHARE_MS)
		await(link, false);
	g_assert_no_error(error);
	g_assert_false(link_step(link, link_deadline_ms(link), &error));
	assert_failure(error, ERROR_UNREACHABLE,
		       "cannot connect to fake.invalid:1: Connection refused");
	link_free(&link);
	black_hole_close(&hole);
	fake_set_list(NULL);
}

int main(int argc, char **argv)
{
	struct pki pki;
	int result;

	g_test_init(&argc, &argv, NULL);
	pki_init(&pki);
	g_test_add_data_func("/link_failure/not-tls", &pki, test_not_tls);
	g_test_add_func("/link_failure/refused", test_refused);
	g_test_add_func("/link_failure/unknown-name", test_unknown_name);
	g_test_add_data_func("/link_failure/endings", &pki, test_endings);
	g_test_add_data_func("/link_failure/write-to-nobody", &pki, test_write_to_nobody);
	g_test_add_data_func("/link_failure/handshake-cut", &pki, test_handshake_cut);
	g_test_add_data_func("/link_failure/handshake-stall", &pki, test_handshake_stall);
	g_test_add_func("/link_failure/connect-stall", test_connect_stall);
	g_test_add_func("/link_failure/lookup-hangs", test_lookup_hangs);
	g_test_add_func("/link_failure/address/next", test_next_address);
	g_test_add_func("/link_failure/address/black-hole-first", test_black_hole_first);
	g_test_add_func("/link_failure/address/best-explanation", test_best_explanation);
	result = g_test_run();
	pki_clear(&pki);
	return result;
}
