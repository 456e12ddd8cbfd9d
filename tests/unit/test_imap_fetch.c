#include "base/limits.h"
#include "imap_response_fixture.h"

static void assert_bytes(GBytes *bytes, const char *expected)
{
	g_autoptr(GBytes) wanted = g_bytes_new_static(expected, strlen(expected));

	g_assert_nonnull(bytes);
	g_assert_true(g_bytes_equal(bytes, wanted));
}

static void test_fetch(void)
{
	struct imap_response response =
		parse("* 12 FETCH (UID 5 FLAGS (\\Seen $Forwarded \\Recent \\flagged) INTERNALDATE "
		      "\"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 MODSEQ (624) "
		      "BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: hello\r\n\r\n)");

	g_assert_cmpint(response.data, ==, IMAP_DATA_FETCH);
	g_assert_cmpuint(response.number, ==, 12);
	g_assert_cmpuint(response.fetch.items, ==, 63);
	g_assert_cmpuint(response.fetch.uid, ==, 5);
	g_assert_cmpuint(response.fetch.flags, ==, IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED);
	assert_words(response.fetch.keywords, "$Forwarded");
	g_assert_cmpint(response.fetch.date_s, ==, 837596665);
	g_assert_cmpuint(response.fetch.size, ==, 4286);
	g_assert_cmpuint(response.fetch.modseq, ==, 624);
	assert_bytes(response.fetch.header, "Subject: hello\r\n\r\n");
	g_assert_null(response.fetch.body);
	imap_response_clear(&response);
}

static void test_fetch_items(void)
{
	static const struct {
		const char *items;
		unsigned found;
		uint32_t uid;
		unsigned flags;
		uint64_t size;
		uint64_t modseq;
		const char *keywords;
	} rows[] = {
		{"()", 0, 0, 0, 0, 0, ""},
		{"", 0, 0, 0, 0, 0, ""},
		{"( UID  5 )  ", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(uid 5 flags (\\seen))", IMAP_FETCH_UID | IMAP_FETCH_FLAGS, 5, IMAP_FLAG_SEEN, 0,
		 0, ""},
		{"(UID 5MODSEQ (7))", IMAP_FETCH_UID | IMAP_FETCH_MODSEQ, 5, 0, 0, 7, ""},
		{"(MODSEQ(7)UID 5)", IMAP_FETCH_UID | IMAP_FETCH_MODSEQ, 5, 0, 0, 7, ""},
		{"(MODSEQ 7)", IMAP_FETCH_MODSEQ, 0, 0, 0, 7, ""},
		{"(MODSEQ (-1) MODSEQ -1)", 0, 0, 0, 0, 0, ""},
		{"(MODSEQ ())", 0, 0, 0, 0, 0, ""},
		{"(UID 5 UID 6)", IMAP_FETCH_UID, 6, 0, 0, 0, ""},
		{"(UID \"5\")", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(UID 4294967295)", IMAP_FETCH_UID, UINT32_MAX, 0, 0, 0, ""},
		{"(UID 4294967296)", 0, 0, 0, 0, 0, ""},
		{"(UID 0)", 0, 0, 0, 0, 0, ""},
		{"(UID -1)", 0, 0, 0, 0, 0, ""},
		{"(UID 1e5)", 0, 0, 0, 0, 0, ""},
		{"(UID 9.3736e+06 RFC822.SIZE 3)", IMAP_FETCH_SIZE, 0, 0, 3, 0, ""},
		{"(UID NIL RFC822.SIZE NIL)", 0, 0, 0, 0, 0, ""},
		{"(UID (1 2) RFC822.SIZE 3)", IMAP_FETCH_SIZE, 0, 0, 3, 0, ""},
		{"(RFC822.SIZE 18446744073709551616)", 0, 0, 0, 0, 0, ""},
		{"(RFC822.SIZE 18446744073709551615)", IMAP_FETCH_SIZE, 0, 0, UINT64_MAX, 0, ""},
		{"(FLAGS (\\Answered \\Deleted \\Draft \\X NIL \"$Label1\" \"\" a]b (x y) $c))",
		 IMAP_FETCH_FLAGS, 0, IMAP_FLAG_ANSWERED | IMAP_FLAG_DELETED | IMAP_FLAG_DRAFT, 0,
		 0, "$Label1 a]b $c"},
		{"(FLAGS (\\Seen x) FLAGS ())", IMAP_FETCH_FLAGS, 0, 0, 0, 0, ""},
		{"(FLAGS (\"\\\\Seen\" \"\\Draft\"))", IMAP_FETCH_FLAGS, 0,
		 IMAP_FLAG_SEEN | IMAP_FLAG_DRAFT, 0, 0, ""},
		{"(FLAGS NIL UID 5)", IMAP_FETCH_FLAGS | IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(FLAGS UID 5)", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(UID 5 FLAGS)", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(UID)", 0, 0, 0, 0, 0, ""},
		{"(XAOL.SPAM.REASON x X-GM-LABELS (\"a b\" (c)) ENVELOPE ((\"a)\" NIL)) UID 5)",
		 IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(X {5}\r\n) \"( UID 5)", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(X y]{5}\r\nab)cd UID 5)", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
		{"(BODY[1.MIME] {2}\r\nab BINARY[1]<0> ~{2}\r\n\001\002 UID 5)", IMAP_FETCH_UID, 5,
		 0, 0, 0, ""},
		{"(BODY[HEADER.FIELDS.NOT (A)] \"x\" BODY[HEADER] \"x\" UID 5)", IMAP_FETCH_UID, 5,
		 0, 0, 0, ""},
		{"((a) \"b\" {1}\r\nc UID 5)", IMAP_FETCH_UID, 5, 0, 0, 0, ""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = g_strdup_printf("* 0 FETCH %s", rows[i].items);
		struct imap_response response = parse(line);
		g_assert_cmpint(response.data, ==, IMAP_DATA_FETCH);
		g_assert_cmpuint(response.number, ==, 0);
		g_assert_cmpuint(response.fetch.items, ==, rows[i].found);
		g_assert_cmpuint(response.fetch.uid, ==, rows[i].uid);
		g_assert_cmpuint(response.fetch.flags, ==, rows[i].flags);
		g_assert_cmpuint(response.fetch.size, ==, rows[i].size);
		g_assert_cmpuint(response.fetch.modseq, ==, rows[i].modseq);
		assert_words(response.fetch.keywords, rows[i].keywords);
		imap_response_clear(&response);
	}
}

static void test_fetch_dates(void)
{
	static const struct {
		const char *date;
		int64_t seconds;
	} rows[] = {
		{"\"17-Jul-1996 02:44:25 -0700\"", 837596665},
		{"\" 1-Jan-1999 00:00:00 +0000\"", 915148800},
		{"\"01-Jan-1999 00:00:00 +0000\"", 915148800},
		{"\"1-Jan-1999 00:00:00 +0000\"", 915148800},
		{"\"01-jan-1999 01:30:00 +0130\"", 915148800},
		{"{26}\r\n01-Jan-1999 00:00:00 +0000", 915148800},
		{"\"01-Jan-1970 00:00:01 +0000\"", 1},
		{"\"31-Dec-1969 23:59:59 +0000\"", -1},
		{"\"29-Feb-2000 00:00:00 +0000\"", 951782400},
		{"\"29-Feb-2024 12:00:00 +0000\"", 1709208000},
		{"\"31-Dec-9999 23:59:59 +0000\"", 253402300799},
		{"\"01-Mar-2100 00:00:00 +0000\"", 4107542400},
		{"\"29-Feb-2100 00:00:00 +0000\"", 0},
		{"\"30-Feb-2000 00:00:00 +0000\"", 0},
		{"\"00-Jan-0000 00:00:00 +0000\"", 0},
		{"\"01-Jan-0000 00:00:00 +0000\"", 0},
		{"\"32-Jan-2000 00:00:00 +0000\"", 0},
		{"\"01-Foo-2000 00:00:00 +0000\"", 0},
		{"\"01-Jan-2000 24:00:00 +0000\"", 0},
		{"\"01-Jan-2000 00:60:00 +0000\"", 0},
		{"\"01-Jan-2000 00:00:61 +0000\"", 0},
		{"\"01-Jan-2000 00:00:00 +2400\"", 0},
		{"\"01-Jan-2000 00:00:00 00000\"", 0},
		{"\"01-Jan-2000\"", 0},
		{"\"\"", 0},
		{"NIL", 0},
		{"(x)", 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line =
			g_strdup_printf("* 1 FETCH (INTERNALDATE %s UID 5)", rows[i].date);
		struct imap_response response = parse(line);
		g_assert_cmpuint(response.fetch.items, ==, IMAP_FETCH_DATE | IMAP_FETCH_UID);
		g_assert_cmpint(response.fetch.date_s, ==, rows[i].seconds);
		imap_response_clear(&response);
	}
}

static void test_fetch_long_date(void)
{
	g_autofree char *line = g_strdup_printf("* 1 FETCH (INTERNALDATE \"%05000d\")", 0);
	struct imap_response response = parse(line);

	g_assert_cmpint(response.fetch.date_s, ==, 0);
	imap_response_clear(&response);
}

static void test_fetch_header(void)
{
	static const char *const rows[][2] = {
		{"BODY[HEADER.FIELDS (X)] \"a\\\"b\"", "a\"b"},
		{"body[header.fields(X)] {2}\r\n\r\n", "\r\n"},
		{"BODY[HEADER.FIELDS (\"X-]\")] {3}\r\na)b", "a)b"},
		{"BODY[HEADER.FIELDS ({3}\r\nX-])] {3}\r\na)b", "a)b"},
		{"BODY[HEADER.FIELDS (X)]<0> {1}\r\nb", "b"},
		{"BODY[HEADER.FIELDS (X)] NIL", ""},
		{"BODY[HEADER.FIELDS (X)] \"\"", ""},
		{"BODY[HEADER.FIELDS (X)] {0}\r\n", ""},
		{"BODY[HEADER.FIELDS (X)]", ""},
		{"BODY[HEADER.FIELDS (X)] ()", ""},
		{"BODY[HEADER.FIELDS (X)] \"a\" BODY[HEADER.FIELDS (X)] \"b\"", "b"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = g_strdup_printf("* 1 FETCH (%s UID 5)", rows[i][0]);
		struct imap_response response = parse(line);
		g_assert_cmpuint(response.fetch.items, ==, IMAP_FETCH_HEADER | IMAP_FETCH_UID);
		assert_bytes(response.fetch.header, rows[i][1]);
		imap_response_clear(&response);
	}
}

static void test_fetch_inline_body(void)
{
	static const struct {
		const char *item;
		const char *body; /* NULL: nil */
		bool partial;
		uint64_t origin;
	} rows[] = {
		{"BODY[] \"a\\\\b\"", "a\\b", false, 0},
		{"BODY[] \"\"", "", false, 0},
		{"BODY[]<100000> \"\"", "", true, 100000},
		{"body[]<7.100> \"x\"", "x", true, 7},
		{"BODY[] NIL", NULL, false, 0},
		{"BODY[]", NULL, false, 0},
		{"BODY[]<3>", NULL, true, 3},
		{"BODY[] ()", NULL, false, 0},
		{"BODY[] \"a\" BODY[] NIL", NULL, false, 0},
		{"BODY[]<3> NIL BODY[] \"b\"", "b", false, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = g_strdup_printf("* 1 FETCH (%s UID 5)", rows[i].item);
		struct imap_response response = parse(line);
		g_assert_cmpuint(response.fetch.items, ==, IMAP_FETCH_BODY | IMAP_FETCH_UID);
		g_assert_false(response.fetch.body_streamed);
		g_assert_cmpint(response.fetch.body_nil, ==, !rows[i].body);
		g_assert_cmpint(response.fetch.body_partial, ==, rows[i].partial);
		g_assert_cmpuint(response.fetch.body_origin, ==, rows[i].origin);
		if (rows[i].body)
			assert_bytes(response.fetch.body, rows[i].body);
		else
			g_assert_null(response.fetch.body);
		imap_response_clear(&response);
	}
}

static void test_fetch_streamed_body(void)
{
	static const struct {
		const char *line;
		uint64_t size;
	} good[] = {
		{"* 1 FETCH (UID 5 BODY[] {100}\r\n)", 100},
		{"* 1 FETCH (BODY[] {100}\r\n UID 5)", 100},
		{"* 1 fetch (body[]~{0100+}\n UID 5 X {1}\r\na)", 100},
		{"* 1 FETCH (BODY[] {0}\r\n UID 5)", 0},
	};
	static const struct {
		const char *line;
		uint64_t size;
	} bad[] = {
		{"* 1 FETCH (BODY[] {100}\r\n)", 99},
		{"* 1 FETCH (BODY[] {100}\r\n)", 0},
		{"* 1 FETCH (BODY[] NIL)", 1},
		{"* 1 EXISTS", 1},
		{"* 1 FETCH (BODY[] {1}\r\n BODY[] {1}\r\n)", 1},
		{"* 1 FETCH (BODY[] {1}\r\n BODY[] NIL)", 1},
		{"* 1 FETCH (X (BODY[] {1}\r\n))", 1},
		{"* 1 FETCH (UID (BODY[] {1}\r\n))", 1},
		{"* 1 FETCH (BODY[] {1}\r\n", 1},
		{"* 1 FETCH (BODY[] {1}", 1},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		struct imap_response response;
		g_assert_true(parse_bytes(good[i].line, strlen(good[i].line), good[i].size,
					  &response, NULL));
		g_assert_cmpuint(response.fetch.items, ==, IMAP_FETCH_BODY | IMAP_FETCH_UID);
		g_assert_true(response.fetch.body_streamed);
		g_assert_cmpuint(response.fetch.body_size, ==, good[i].size);
		g_assert_null(response.fetch.body);
		imap_response_clear(&response);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct imap_response response;
		g_autoptr(GError) error = NULL;
		g_assert_false(parse_bytes(bad[i].line, strlen(bad[i].line), bad[i].size, &response,
					   &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_PROTOCOL);
	}
}

static void test_peek_body(void)
{
	static const struct {
		const char *text;
		uint32_t uid;
		uint64_t origin;
	} rows[] = {
		{"* 1 FETCH (UID 5 BODY[] {100}\r\n", 5},
		{"* 1 FETCH (UID 5 BODY[]<70> {100}\r\n", 5, 70},
		{"* 1 FETCH (UID 5 BODY[]<70.100> {100}\r\n", 5, 70},
		{"* 1 FETCH (BODY[]<70> {100}\r\n", 0, 70},
		{"* 1 FETCH (UID 5 BODY[HEADER]<70> {3}\r\nabc BODY[] {100}\r\n", 5},
		{"* 1 fetch (FLAGS (a) uid 5 X {3}\r\nUID BODY[] {0}\r\n", 5},
		{"* 1 FETCH (BODY[] {100}\r\n", 0},
		{"* 1 FETCH (X (UID 5 BODY[] {100}\r\n", 0},
		{"* 1 FETCH (X \"UID 5\" BODY[] {100}\r\n", 0},
		{"* 1 FETCH", 0},
		{"* 1 EXISTS", 0},
		{"", 0},
		{"*", 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		size_t len = strlen(rows[i].text);
		g_autofree char *copy = g_memdup2(rows[i].text, len);
		uint64_t origin = UINT64_MAX;
		uint32_t uid = imap_response_peek_body(copy, len, &origin);

		g_assert_cmpuint(uid, ==, rows[i].uid);
		g_assert_cmpuint(origin, ==, rows[i].origin);
	}
}

static void test_keywords_limit(void)
{
	for (guint n = LIMIT_KEYWORDS - 1; n <= LIMIT_KEYWORDS + 1; n++) {
		g_autoptr(GString) line = g_string_new("* 1 FETCH (FLAGS (");
		struct imap_response response;
		for (guint i = 0; i < n; i++)
			g_string_append_printf(line, "k%u ", i);
		g_string_append(line, "\\Seen))");
		response = parse(line->str);
		g_assert_cmpuint(response.fetch.keywords->len, ==, MIN(n, LIMIT_KEYWORDS));
		g_assert_cmpuint(response.fetch.flags, ==, IMAP_FLAG_SEEN);
		imap_response_clear(&response);
	}
}

static void test_keyword_limit(void)
{
	for (guint n = LIMIT_KEYWORD - 1; n <= LIMIT_KEYWORD + 1; n++) {
		g_autofree char *name = g_strnfill(n, 'k');
		g_autofree char *line = g_strdup_printf("* 1 FETCH (FLAGS (%s $x))", name);
		struct imap_response response = parse(line);

		g_assert_cmpuint(response.fetch.keywords->len, ==, n <= LIMIT_KEYWORD ? 2 : 1);
		imap_response_clear(&response);
	}
}

/* What would be another list of keywords if it were kept. */
static void test_keyword_odd(void)
{
	struct imap_response response =
		parse("* 1 FETCH (FLAGS (\"a b\" \"c\td\" {3}\r\ne\nf \"g]\" h\xc3\xa9))");

	g_assert_cmpuint(response.fetch.keywords->len, ==, 2);
	g_assert_cmpstr(response.fetch.keywords->pdata[0], ==, "g]");
	g_assert_cmpstr(response.fetch.keywords->pdata[1], ==, "h\xc3\xa9");
	imap_response_clear(&response);
}

static void test_nesting_limit(void)
{
	for (int n = LIMIT_NESTING - 1; n <= LIMIT_NESTING + 1; n++) {
		g_autoptr(GString) line = g_string_new("* 1 FETCH (X ");
		for (int i = 0; i < n; i++)
			g_string_append_c(line, '(');
		for (int i = 0; i < n; i++)
			g_string_append_c(line, ')');
		g_string_append(line, ")");
		if (n <= LIMIT_NESTING) {
			struct imap_response response = parse(line->str);
			imap_response_clear(&response);
		} else {
			parse_bad(line->str, ERROR_LIMIT);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap-fetch/all", test_fetch);
	g_test_add_func("/imap-fetch/items", test_fetch_items);
	g_test_add_func("/imap-fetch/dates", test_fetch_dates);
	g_test_add_func("/imap-fetch/long-date", test_fetch_long_date);
	g_test_add_func("/imap-fetch/header", test_fetch_header);
	g_test_add_func("/imap-fetch/inline-body", test_fetch_inline_body);
	g_test_add_func("/imap-fetch/streamed-body", test_fetch_streamed_body);
	g_test_add_func("/imap-fetch/peek-body", test_peek_body);
	g_test_add_func("/imap-fetch/keywords-limit", test_keywords_limit);
	g_test_add_func("/imap-fetch/keyword-limit", test_keyword_limit);
	g_test_add_func("/imap-fetch/keyword-odd", test_keyword_odd);
	g_test_add_func("/imap-fetch/nesting-limit", test_nesting_limit);
	return g_test_run();
}
