#include "base/error.h"
#include "base/limits.h"
#include "protocol/imap_frame.h"
#include "protocol/imap_response.h"

#include <string.h>

/* What happened, as text: "R<...>" a response, "B5<...>" a body begins, its bytes, "E" an error. */
struct run {
	GString *log;
	struct imap_frame frame;
	GError *error;
	bool in_body;
};

static void run_init(struct run *run, size_t max_line)
{
	*run = (struct run){.log = g_string_new(NULL)};
	imap_frame_init(&run->frame, max_line);
}

static void run_clear(struct run *run)
{
	imap_frame_clear(&run->frame);
	g_string_free(run->log, TRUE);
	g_clear_error(&run->error);
}

static void run_log_text(struct run *run)
{
	g_string_append_c(run->log, '<');
	g_string_append_len(run->log, (const char *)buf_data(&run->frame.text),
			    (gssize)buf_len(&run->frame.text));
	g_string_append_c(run->log, '>');
}

static bool run_event(struct run *run, enum imap_frame_event event)
{
	switch (event) {
	case IMAP_FRAME_RESPONSE:
		g_string_append_c(run->log, 'R');
		run_log_text(run);
		return true;
	case IMAP_FRAME_BODY:
		g_string_append_printf(run->log, "B%" G_GUINT64_FORMAT, run->frame.body_size);
		run_log_text(run);
		return true;
	case IMAP_FRAME_DATA:
		g_assert_cmpuint(run->frame.data_len, >, 0);
		g_string_append_len(run->log, (const char *)run->frame.data,
				    (gssize)run->frame.data_len);
		return true;
	case IMAP_FRAME_ERROR:
		g_string_append_c(run->log, 'E');
		return false;
	case IMAP_FRAME_MORE:
		break;
	}
	return true;
}

/* A copy of exactly this length, so that a read beyond it is seen. */
static bool run_feed(struct run *run, const char *bytes, size_t len)
{
	g_autofree uint8_t *copy = g_memdup2(bytes, len);
	enum imap_frame_event event = IMAP_FRAME_MORE;
	size_t done = 0;

	while (done < len) {
		size_t used = 0;
		event = imap_frame_feed(&run->frame, copy + done, len - done, &used, &run->error);
		g_assert_cmpuint(used, <=, len - done);
		done += used;
		if (!run_event(run, event))
			return false;
		if (event == IMAP_FRAME_MORE)
			g_assert_cmpuint(done, ==, len);
	}
	return true;
}

static void check(const char *bytes, size_t len, const char *expected)
{
	for (int way = 0; way < 12; way++) {
		struct run run;
		size_t done = 0;

		run_init(&run, LIMIT_LINE);
		while (done < len) {
			size_t n = way == 0   ? len
				   : way == 1 ? 1
					      : (size_t)g_test_rand_int_range(1, 9);
			n = MIN(n, len - done);
			if (!run_feed(&run, bytes + done, n))
				break;
			done += n;
		}
		g_assert_cmpstr(run.log->str, ==, expected);
		run_clear(&run);
	}
}

static void check_rows(const char *const (*rows)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(rows[i][0], strlen(rows[i][0]), rows[i][1]);
}

static void test_lines(void)
{
	static const char *const rows[][2] = {
		{"* OK hi\r\n", "R<* OK hi>"},
		{"* OK hi\n", "R<* OK hi>"},
		{"\r\n", "R<>"},
		{"\n", "R<>"},
		{"+\r\n", "R<+>"},
		{"a\rb\r\n", "R<a\rb>"},
		{"a\r\r\n", "R<a\r>"},
		{"* A\r\n* B\n+ \r\nt1 OK\r\n", "R<* A>R<* B>R<+ >R<t1 OK>"},
		{"* A\r\n* B", "R<* A>"},
	};

	check_rows(rows, G_N_ELEMENTS(rows));
}

static void test_inline_literals(void)
{
	static const char *const rows[][2] = {
		{"* LIST () \"/\" {3}\r\na\nb\r\n", "R<* LIST () \"/\" {3}\r\na\nb>"},
		{"* LIST () \"/\" {03}\na)b\n", "R<* LIST () \"/\" {03}\na)b>"},
		{"* LIST () \"/\"{3}\r\nabc\r\n", "R<* LIST () \"/\"{3}\r\nabc>"},
		{"* STATUS {5+}\r\nabcde (X)\r\n", "R<* STATUS {5+}\r\nabcde (X)>"},
		{"* X ~{2}\r\n\r\n\r\n", "R<* X ~{2}\r\n\r\n>"},
		{"* X ({1}\r\na {1}\r\nb)\r\n", "R<* X ({1}\r\na {1}\r\nb)>"},
		{"* X {1}\r\na{1}\r\nb\r\n", "R<* X {1}\r\na{1}\r\nb>"},
		{"* X {0}\r\n\r\n", "R<* X {0}\r\n>"},
		{"* X {0}\r\n{0}\r\n\r\n", "R<* X {0}\r\n{0}\r\n>"},
		{"* 1 FETCH (BODY[HEADER.FIELDS ({2}\r\nA])] {3}\r\n\r\n\r UID 1)\r\n",
		 "R<* 1 FETCH (BODY[HEADER.FIELDS ({2}\r\nA])] {3}\r\n\r\n\r UID 1)>"},
		{"* 1 FETCH (BODY[1]{3}\r\nabc)\r\n", "R<* 1 FETCH (BODY[1]{3}\r\nabc)>"},
		{"* 1 FETCH (XBODY[] {3}\r\nabc)\r\n", "R<* 1 FETCH (XBODY[] {3}\r\nabc)>"},
		{"* LIST () \"/\" BODY[] {3}\r\nabc\r\n", "R<* LIST () \"/\" BODY[] {3}\r\nabc>"},
		{"* 1 FETCH (X {9}\r\n* 1 BODY[ Y {1}\r\na)\r\n",
		 "R<* 1 FETCH (X {9}\r\n* 1 BODY[ Y {1}\r\na)>"},
	};

	check_rows(rows, G_N_ELEMENTS(rows));
}

static void test_no_literals(void)
{
	static const char *const rows[][2] = {
		{"* OK see {5}\r\n* X\r\n", "R<* OK see {5}>R<* X>"},
		{"* ok {5}\r\n", "R<* ok {5}>"},
		{"* NO {5}\r\n", "R<* NO {5}>"},
		{"* BAD {5}\r\n", "R<* BAD {5}>"},
		{"* BYE {5}\r\n", "R<* BYE {5}>"},
		{"* PREAUTH {5}\r\n", "R<* PREAUTH {5}>"},
		{"* OK [X] {5}\r\n", "R<* OK [X] {5}>"},
		{"* OK[X] {5}\r\n", "R<* OK[X] {5}>"},
		{"* [ALERT] {5}\r\n", "R<* [ALERT] {5}>"},
		{"a1 NO {5}\r\n", "R<a1 NO {5}>"},
		{"a1 OK FETCH BODY[] {5}\r\n", "R<a1 OK FETCH BODY[] {5}>"},
		{"+ {5}\r\n", "R<+ {5}>"},
		{"* X \"a {5}\r\n", "R<* X \"a {5}>"},
		{"* X \"a\\\" {5}\r\n", "R<* X \"a\\\" {5}>"},
		{"* X \"a\" {1}\r\nb\r\n", "R<* X \"a\" {1}\r\nb>"},
		{"* X \"a\\\\\" {1}\r\nb\r\n", "R<* X \"a\\\\\" {1}\r\nb>"},
		{"* X name{5}\r\n", "R<* X name{5}>"},
		{"* X {5} \r\n", "R<* X {5} >"},
		{"* X {}\r\n", "R<* X {}>"},
		{"* X {-1}\r\n", "R<* X {-1}>"},
		{"* X {1e3}\r\n", "R<* X {1e3}>"},
		{"* X { 1}\r\n", "R<* X { 1}>"},
		{"* X 5}\r\n", "R<* X 5}>"},
		{"* X {5}x\r\n", "R<* X {5}x>"},
	};

	check_rows(rows, G_N_ELEMENTS(rows));
}

static void test_bodies(void)
{
	static const char *const rows[][2] = {
		{"* 1 FETCH (UID 7 BODY[] {5}\r\na\r\nbc FLAGS ())\r\n",
		 "B5<* 1 FETCH (UID 7 BODY[] {5}\r\n>a\r\nbc"
		 "R<* 1 FETCH (UID 7 BODY[] {5}\r\n FLAGS ())>"},
		{"* 1 fetch (body[]{2}\na\n)\n", "B2<* 1 fetch (body[]{2}\n>a\n"
						 "R<* 1 fetch (body[]{2}\n)>"},
		{"* 1 FETCH (BODY[]<10> ~{2}\r\nab)\r\n",
		 "B2<* 1 FETCH (BODY[]<10> ~{2}\r\n>abR<* 1 FETCH (BODY[]<10> ~{2}\r\n)>"},
		{"*  1  FETCH(BODY[]   {2+}\r\nab)\r\n",
		 "B2<*  1  FETCH(BODY[]   {2+}\r\n>abR<*  1  FETCH(BODY[]   {2+}\r\n)>"},
		{"* 1 FETCH (BODY[] {0}\r\n)\r\n* X\r\n",
		 "B0<* 1 FETCH (BODY[] {0}\r\n>R<* 1 FETCH (BODY[] {0}\r\n)>R<* X>"},
		{"* 1 FETCH (X {1}\r\n\" BODY[] {2}\r\nab)\r\n",
		 "B2<* 1 FETCH (X {1}\r\n\" BODY[] {2}\r\n>ab"
		 "R<* 1 FETCH (X {1}\r\n\" BODY[] {2}\r\n)>"},
		{"* 1 FETCH (BODY[] {2}\r\nab X {1}\r\nc)\r\n* 2 FETCH (BODY[] {1}\r\nd)\r\n",
		 "B2<* 1 FETCH (BODY[] {2}\r\n>abR<* 1 FETCH (BODY[] {2}\r\n X {1}\r\nc)>"
		 "B1<* 2 FETCH (BODY[] {1}\r\n>dR<* 2 FETCH (BODY[] {1}\r\n)>"},
		/* two */
		{"* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n",
		 "B1<* 1 FETCH (BODY[] {1}\r\n>aE"},
	};

	check_rows(rows, G_N_ELEMENTS(rows));
}

static void test_nul(void)
{
	check("* X \0\r\n", 7, "E");
	check("* X {1}\r\n\0\r\n", 12, "R<* X {1}\r\n");
}

/* Feeds `head`, then `n` times `c`, then `tail`. */
static void check_limit(size_t max_line, const char *head, size_t n, const char *tail, int code)
{
	struct run run;
	g_autofree char *fill = g_malloc(n + 1);
	bool ok;

	memset(fill, 'x', n);
	run_init(&run, max_line);
	ok = run_feed(&run, head, strlen(head)) && run_feed(&run, fill, n) &&
	     run_feed(&run, tail, strlen(tail));
	if (code < 0) {
		g_assert_no_error(run.error);
		g_assert_true(ok);
		g_assert_true(imap_frame_is_empty(&run.frame));
	} else {
		g_assert_false(ok);
		g_assert_error(run.error, MAILFS_ERROR, code);
	}
	run_clear(&run);
}

static void test_limit_line(void)
{
	for (int d = -1; d <= 1; d++) {
		int code = d > 0 ? ERROR_LIMIT : -1;
		check_limit(100, "* ", (size_t)(96 + d), "\r\n", code);
		check_limit(100, "* X {3}\r\nabc", (size_t)(89 + d), "\r\n", code);
		check_limit(100, "* 1 FETCH (BODY[] {3}\r\nabc", (size_t)(74 + d), ")\r\n", code);
		check_limit(LIMIT_LINE, "* ", (size_t)(LIMIT_LINE - 4 + d), "\r\n", code);
	}
	/* without a line end too, and from the first byte that is too many */
	check_limit(100, "* ", 99, "", ERROR_LIMIT);
}

static void test_limit_literal(void)
{
	for (int d = -1; d <= 1; d++) {
		g_autofree char *head = g_strdup_printf("* X {%d}\r\n", LIMIT_INLINE_LITERAL + d);
		check_limit(1000, head, (size_t)(LIMIT_INLINE_LITERAL + d), "\r\n",
			    d > 0 ? ERROR_LIMIT : -1);
	}
	check_limit(1000, "* X {99999999999999999999999999}\r\n", 0, "", ERROR_LIMIT);
	check_limit(1000, "* X {2147483648}\r\n", 0, "", ERROR_LIMIT);
	check_limit(1000, "* X {18446744073709551615}\r\n", 0, "", ERROR_LIMIT);
}

/* A sender decides how long a Subject is: what lies behind it must stay readable. */
static void check_header(size_t size, size_t step)
{
	g_autofree char *head =
		g_strdup_printf("* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {%zu}\r\n", size);
	g_autofree char *fill = g_strnfill(step, 'x');
	struct imap_response response;
	struct run run;

	run_init(&run, 1000);
	g_assert_true(run_feed(&run, head, strlen(head)));
	for (size_t done = 0; done < size; done += MIN(step, size - done))
		g_assert_true(run_feed(&run, fill, MIN(step, size - done)));
	g_assert_true(run_feed(&run, " UID 7)\r\n", 9));
	g_assert_cmpint(run.log->str[0], ==, 'R');
	g_assert_true(imap_response_parse((const char *)buf_data(&run.frame.text),
					  buf_len(&run.frame.text), 0, &response, NULL));
	g_assert_cmpuint(g_bytes_get_size(response.fetch.header), ==,
			 MIN(size, LIMIT_INLINE_LITERAL));
	g_assert_cmpuint(response.fetch.uid, ==, 7);
	imap_response_clear(&response);
	run_clear(&run);
}

static void test_limit_header(void)
{
	static const size_t steps[] = {999, LIMIT_INLINE_LITERAL, 4 * LIMIT_INLINE_LITERAL};
	struct run run;

	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
		for (int d = -1; d <= 1; d++)
			check_header((size_t)(LIMIT_INLINE_LITERAL + d), steps[i]);
		check_header(LIMIT_RESPONSE + 1, steps[i]);
	}
	run_init(&run, 1000);
	g_assert_false(run_feed(&run, "* 1 FETCH (X {268435457}\r\n", 26));
	g_assert_error(run.error, MAILFS_ERROR, ERROR_LIMIT);
	run_clear(&run);
}

static void test_limit_message(void)
{
	for (int d = -1; d <= 1; d++) {
		struct run run;
		g_autofree char *head =
			g_strdup_printf("* 1 FETCH (BODY[] {%" G_GUINT64_FORMAT "}\r\n",
					(guint64)(LIMIT_MESSAGE_SIZE + d));
		run_init(&run, 1000);
		g_assert_cmpint(run_feed(&run, head, strlen(head)), ==, d <= 0);
		if (d > 0)
			g_assert_error(run.error, MAILFS_ERROR, ERROR_LIMIT);
		else
			g_assert_cmpuint(run.frame.body_size, ==, LIMIT_MESSAGE_SIZE + d);
		run_clear(&run);
	}
}

static void test_limit_response(void)
{
	struct run run;
	g_autofree char *fill = g_malloc0(LIMIT_INLINE_LITERAL);
	g_autofree char *head = g_strdup_printf(" {%d}\r\n", LIMIT_INLINE_LITERAL);
	int i = 0;

	run_init(&run, LIMIT_LINE);
	g_assert_true(run_feed(&run, "* X", 3));
	while (run_feed(&run, head, strlen(head)) && run_feed(&run, fill, LIMIT_INLINE_LITERAL))
		g_assert_cmpint(++i, <=, LIMIT_RESPONSE / LIMIT_INLINE_LITERAL);
	g_assert_error(run.error, MAILFS_ERROR, ERROR_LIMIT);
	g_assert_cmpuint(buf_len(&run.frame.text), <=, LIMIT_RESPONSE);
	run_clear(&run);
}

/* Each literal costs the same, wherever it stands. */
static void test_many_literals(void)
{
	struct run run;
	gint64 start = g_get_monotonic_time();

	run_init(&run, LIMIT_LINE);
	g_assert_true(run_feed(&run, "* 1 FETCH (X (", 14));
	for (int i = 0; i < 100000; i++)
		g_assert_true(run_feed(&run, "\"a\" {0}\r\n", 9));
	g_assert_true(run_feed(&run, "))\r\n", 4));
	g_assert_true(g_str_has_suffix(run.log->str, "))>"));
	g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
	run_clear(&run);
}

/* After an error nothing is read any more. */
static void test_failed(void)
{
	struct run run;

	run_init(&run, 10);
	g_assert_false(run_feed(&run, "12345678901\r\n", 13));
	g_clear_error(&run.error);
	g_assert_false(run_feed(&run, "* X\r\n", 5));
	g_assert_error(run.error, MAILFS_ERROR, ERROR_PROTOCOL);
	g_assert_false(imap_frame_is_empty(&run.frame));
	run_clear(&run);
}

static void test_empty(void)
{
	struct run run;

	run_init(&run, 100);
	g_assert_true(imap_frame_is_empty(&run.frame));
	g_assert_true(run_feed(&run, "*", 1));
	g_assert_false(imap_frame_is_empty(&run.frame));
	g_assert_true(run_feed(&run, " X\r\n", 4));
	g_assert_true(imap_frame_is_empty(&run.frame));
	g_assert_true(run_feed(&run, "* 1 FETCH (BODY[] {1}\r\n", 23));
	g_assert_false(imap_frame_is_empty(&run.frame));
	g_assert_true(run_feed(&run, "a)\r\n", 4));
	g_assert_true(imap_frame_is_empty(&run.frame));
	run_clear(&run);
}

/* The event stops the call at once: what follows a response is not taken. */
static void test_used(void)
{
	struct imap_frame frame;
	size_t used;

	imap_frame_init(&frame, 100);
	g_assert_cmpint(imap_frame_feed(&frame, (const uint8_t *)"* X\r\n\x16\x03", 7, &used, NULL),
			==, IMAP_FRAME_RESPONSE);
	g_assert_cmpuint(used, ==, 5);
	imap_frame_clear(&frame);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap-frame/lines", test_lines);
	g_test_add_func("/imap-frame/inline-literals", test_inline_literals);
	g_test_add_func("/imap-frame/no-literals", test_no_literals);
	g_test_add_func("/imap-frame/bodies", test_bodies);
	g_test_add_func("/imap-frame/nul", test_nul);
	g_test_add_func("/imap-frame/limit-line", test_limit_line);
	g_test_add_func("/imap-frame/limit-literal", test_limit_literal);
	g_test_add_func("/imap-frame/limit-message", test_limit_message);
	g_test_add_func("/imap-frame/limit-header", test_limit_header);
	g_test_add_func("/imap-frame/limit-response", test_limit_response);
	g_test_add_func("/imap-frame/many-literals", test_many_literals);
	g_test_add_func("/imap-frame/failed", test_failed);
	g_test_add_func("/imap-frame/empty", test_empty);
	g_test_add_func("/imap-frame/used", test_used);
	return g_test_run();
}
