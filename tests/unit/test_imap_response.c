#include "base/limits.h"
#include "imap_response_fixture.h"

static void assert_set(const struct seqset *set, const char *expected)
{
	GString *out = g_string_new(NULL);

	seqset_format(set, out);
	g_assert_cmpstr(out->str, ==, expected);
	g_string_free(out, TRUE);
}

/* --- Status -------------------------------------------------------------------------------- */

static void test_status(void)
{
	static const struct {
		const char *line;
		enum imap_kind kind;
		const char *tag;
		enum imap_status status;
		enum imap_code code;
		uint64_t number;
		const char *code_name;
		const char *text;
	} rows[] = {
		{"* OK hello", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_NONE, 0, NULL, "hello"},
		{"a1 NO", IMAP_TAGGED, "a1", IMAP_NO, IMAP_CODE_NONE, 0, NULL, ""},
		{"A1 OK", IMAP_TAGGED, "A1", IMAP_OK, IMAP_CODE_NONE, 0, NULL, ""},
		{"* OK", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_NONE, 0, NULL, ""},
		{"*  ok   [ uidnext", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_NONE, 0, NULL,
		 "[ uidnext"},
		{"a+1 bad x", IMAP_TAGGED, "a+1", IMAP_BAD, IMAP_CODE_NONE, 0, NULL, "x"},
		{"* BYE [UNAVAILABLE] x", IMAP_UNTAGGED, NULL, IMAP_BYE, IMAP_CODE_UNAVAILABLE, 0,
		 "UNAVAILABLE", "x"},
		{"* PREAUTH x", IMAP_UNTAGGED, NULL, IMAP_PREAUTH, IMAP_CODE_NONE, 0, NULL, "x"},
		{"* OK [uidvalidity 12] x", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_UIDVALIDITY, 12,
		 "UIDVALIDITY", "x"},
		{"* OK[UIDNEXT 4]x", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_UIDNEXT, 4, "UIDNEXT",
		 "x"},
		{"* OK [UIDVALIDITY 9876543210] x", IMAP_UNTAGGED, NULL, IMAP_OK,
		 IMAP_CODE_UIDVALIDITY, 9876543210, "UIDVALIDITY", "x"},
		{"* OK [UIDVALIDITY -1]", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_OTHER, 0,
		 "UIDVALIDITY", ""},
		{"* OK [UIDVALIDITY]", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_OTHER, 0,
		 "UIDVALIDITY", ""},
		{"* OK [HIGHESTMODSEQ 9.3736e+06]", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_OTHER,
		 0, "HIGHESTMODSEQ", ""},
		{"* OK [HIGHESTMODSEQ  7 ] x", IMAP_UNTAGGED, NULL, IMAP_OK,
		 IMAP_CODE_HIGHESTMODSEQ, 7, "HIGHESTMODSEQ", "x"},
		{"* [COPYUID 701  ]", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_OTHER, 0, "COPYUID",
		 ""},
		{"a1 OK [READ-ONLY] x", IMAP_TAGGED, "a1", IMAP_OK, IMAP_CODE_READ_ONLY, 0,
		 "READ-ONLY", "x"},
		{"a1 NO [Error=\"Microsoft.Exchange.E: Bad ]\" AuthResult=8] x", IMAP_TAGGED, "a1",
		 IMAP_NO, IMAP_CODE_OTHER, 0, "ERROR=\"MICROSOFT.EXCHANGE.E:", "x"},
		{"a1 NO [a \"b] c", IMAP_TAGGED, "a1", IMAP_NO, IMAP_CODE_OTHER, 0, "A", "c"},
		{"a1 NO [ALERT x [y", IMAP_TAGGED, "a1", IMAP_NO, IMAP_CODE_NONE, 0, NULL,
		 "[ALERT x [y"},
		{"a1 NO x ] {5}", IMAP_TAGGED, "a1", IMAP_NO, IMAP_CODE_NONE, 0, NULL, "x ] {5}"},
		{"a1 NO []", IMAP_TAGGED, "a1", IMAP_NO, IMAP_CODE_OTHER, 0, "", ""},
		{"a1 OK done [THROTTLED]", IMAP_TAGGED, "a1", IMAP_OK, IMAP_CODE_NONE, 0, NULL,
		 "done [THROTTLED]"},
		{"* OK \033[31mred\a\r", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_NONE, 0, NULL,
		 "\\x1B[31mred\\x07\\x0D"},
		{"* OK [\033X] x", IMAP_UNTAGGED, NULL, IMAP_OK, IMAP_CODE_OTHER, 0, "\\x1BX", "x"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		g_assert_cmpint(response.kind, ==, rows[i].kind);
		g_assert_cmpint(response.data, ==, IMAP_DATA_STATUS);
		g_assert_cmpstr(response.tag, ==, rows[i].tag);
		g_assert_cmpint(response.status, ==, rows[i].status);
		g_assert_cmpint(response.code, ==, rows[i].code);
		g_assert_cmpuint(response.number, ==, rows[i].number);
		g_assert_cmpstr(response.code_name, ==, rows[i].code_name);
		g_assert_cmpstr(response.text, ==, rows[i].text);
		imap_response_clear(&response);
	}
}

static void test_codes(void)
{
	static const struct {
		const char *name;
		enum imap_code code;
	} rows[] = {
		{"NOMODSEQ", IMAP_CODE_NOMODSEQ},
		{"READ-WRITE", IMAP_CODE_READ_WRITE},
		{"CLOSED", IMAP_CODE_CLOSED},
		{"ALERT", IMAP_CODE_ALERT},
		{"nonexistent", IMAP_CODE_NONEXISTENT},
		{"NOPERM", IMAP_CODE_NOPERM},
		{"AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED},
		{"AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED},
		{"EXPIRED", IMAP_CODE_EXPIRED},
		{"PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED},
		{"CONTACTADMIN", IMAP_CODE_CONTACTADMIN},
		{"INUSE", IMAP_CODE_INUSE},
		{"LIMIT", IMAP_CODE_LIMIT},
		{"OVERQUOTA", IMAP_CODE_OVERQUOTA},
		{"SERVERBUG", IMAP_CODE_SERVERBUG},
		{"CLIENTBUG", IMAP_CODE_CLIENTBUG},
		{"EXPUNGEISSUED", IMAP_CODE_EXPUNGEISSUED},
		{"EXPUNGEISSUEDX", IMAP_CODE_OTHER},
		{"TRYCREATE", IMAP_CODE_TRYCREATE},
		{"APPENDUID 1 2", IMAP_CODE_APPENDUID},
		{"APPENDUID 1 0", IMAP_CODE_OTHER},
		{"COPYUID 1 2 3", IMAP_CODE_COPYUID},
		{"COPYUID 1 2", IMAP_CODE_OTHER},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = g_strdup_printf("t NO [%s] x", rows[i].name);
		struct imap_response response = parse(line);
		g_assert_cmpint(response.code, ==, rows[i].code);
		imap_response_clear(&response);
	}
}

static void assert_uids(const GArray *ranges, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (guint i = 0; ranges && i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		g_string_append_printf(out, "%s%u:%u", i > 0 ? "," : "", range->first, range->last);
	}
	g_assert_cmpstr(out->str, ==, expected);
}

static void test_code_uids(void)
{
	struct imap_response response = parse("t OK [APPENDUID 4294967296 4294967295] x");

	g_assert_cmpuint(response.number, ==, 4294967296);
	g_assert_null(response.from);
	assert_uids(response.to, "4294967295:4294967295");
	imap_response_clear(&response);

	response = parse("* [copyuid  7  9,3:4,1:4294967295 8,6:5,2 ] x");
	g_assert_cmpint(response.code, ==, IMAP_CODE_COPYUID);
	g_assert_cmpuint(response.number, ==, 7);
	assert_uids(response.from, "9:9,3:4,1:4294967295");
	assert_uids(response.to, "8:8,5:6,2:2");
	g_assert_cmpstr(response.text, ==, "x");
	imap_response_clear(&response);
}

static void test_code_uids_bad(void)
{
	static const char *const codes[] = {
		"APPENDUID",	     "APPENDUID 1",	"APPENDUID 0 1",
		"APPENDUID x 1",     "APPENDUID 1 x",	"APPENDUID 1 4294967296",
		"APPENDUID 1 1:*",   "APPENDUID 1 ()",	"APPENDUID 1 2 3",
		"COPYUID 701  ",     "COPYUID 1 2 0",	"COPYUID 1 0 2",
		"COPYUID 1 2 3 4",   "COPYUID 1 () ()", "COPYUID 1 2:3:4 5",
		"COPYUID 1 \"2\" 3", "COPYUID 0 2 3",	"COPYUID 99999999999999999999 2 3",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		g_autofree char *line = g_strdup_printf("t OK [%s] x", codes[i]);
		struct imap_response response = parse(line);

		g_assert_cmpint(response.code, ==, IMAP_CODE_OTHER);
		imap_response_clear(&response);
	}
}

static void test_myrights(void)
{
	static const struct {
		const char *line;
		const char *mailbox;
		const char *letters;
	} rows[] = {
		{"* MYRIGHTS INBOX lrs", "INBOX", "lrs"},
		{"* myrights \"a b\" \"az\"", "a b", "az"},
		{"* MYRIGHTS {3}\r\nx y {1}\r\nk", "x y", "k"},
		{"* MYRIGHTS a(b l09Z \xff", "a(b", "l"},
		{"* MYRIGHTS x \"\"", "x", ""},
		{"* MYRIGHTS x", "x", ""},
		{"* MYRIGHTS x  l ", "x", "l"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		uint32_t rights = 0;

		for (const char *letter = rows[i].letters; *letter; letter++)
			rights |= 1u << (*letter - 'a');
		g_assert_cmpint(response.data, ==, IMAP_DATA_MYRIGHTS);
		g_assert_cmpstr(response.mailbox, ==, rows[i].mailbox);
		g_assert_cmphex(response.rights, ==, rights);
		imap_response_clear(&response);
	}
	parse_bad("* MYRIGHTS", ERROR_PROTOCOL);
	parse_bad("* MYRIGHTS x (l)", ERROR_PROTOCOL);
}

static void test_code_words(void)
{
	struct imap_response response = parse("* OK [CAPABILITY imap4rev1  IDLE ] x");

	g_assert_cmpint(response.code, ==, IMAP_CODE_CAPABILITY);
	assert_words(response.words, "IMAP4REV1 IDLE");
	imap_response_clear(&response);

	response = parse("* OK [PERMANENTFLAGS (\\Seen $Junk a]b \\*)] x");
	g_assert_cmpint(response.code, ==, IMAP_CODE_PERMANENTFLAGS);
	assert_words(response.words, "\\Seen $Junk a]b \\*");
	g_assert_cmpstr(response.text, ==, "x");
	imap_response_clear(&response);

	response = parse("* OK [PERMANENTFLAGS ()] x");
	g_assert_cmpint(response.code, ==, IMAP_CODE_PERMANENTFLAGS);
	g_assert_cmpuint(response.words->len, ==, 0);
	imap_response_clear(&response);

	response = parse("* OK [PERMANENTFLAGS (\\Seen] x");
	g_assert_cmpint(response.code, ==, IMAP_CODE_OTHER);
	imap_response_clear(&response);
}

static void test_text_limit(void)
{
	for (size_t n = 511; n <= 513; n++) {
		g_autofree char *line = g_strdup_printf("* OK %0*d", (int)n, 0);
		struct imap_response response = parse(line);
		g_assert_cmpuint(strlen(response.text), ==, MIN(n, 512));
		imap_response_clear(&response);
	}
}

static void test_continuation(void)
{
	static const char *const rows[][2] = {
		{"+", ""}, {"+ ", ""}, {"+ go on", "go on"}, {"+ {5}", "{5}"}, {"+OK", "OK"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i][0]);
		g_assert_cmpint(response.kind, ==, IMAP_CONTINUATION);
		g_assert_cmpstr(response.text, ==, rows[i][1]);
		imap_response_clear(&response);
	}
}

static void test_nonsense(void)
{
	static const char *const bad[] = {
		"a1",
		"a1 ",
		"a1 PREAUTH x",
		"a1 BYE",
		"a1 OKAY",
		" * OK",
		"\x01 OK",
		"HTTP/1.1 200 OK",
		"a1 FETCH",
		"* 99999999999999999999 EXISTS",
		"* LIST",
		"* LIST ()",
		"* LIST () \"/\"",
		"* LIST \"a",
		"* LIST (() \"/\" x",
		"* STATUS",
		"* STATUS x (MESSAGES 1",
		"* STATUS x MESSAGES 1",
		"* FLAGS (a",
		"* FLAGS a",
		"* QUOTA",
		"* QUOTA \"\" (STORAGE 1)",
		"* VANISHED 0",
		"* VANISHED 1,x",
		"* VANISHED (EARLIER",
		"* ESEARCH (TAG",
		"* 1 FETCH 5",
		"* 1 FETCH (",
		"* 1 FETCH (UID 5",
		"* 1 FETCH (UID 5) x",
		"* 1 FETCH (FLAGS (a)",
		"* 1 FETCH (BODY[)",
		"* 1 FETCH (BODY[]<x> NIL)",
		"* 1 FETCH (X \"a)",
		"* 1 FETCH (X {5}\r\nabc)",
		"* STATUS {-1}\r\n (X)",
		"* STATUS {9}\r\nabc (MESSAGES 1)",
		"* STATUS {18446744073709551615}\r\nabc",
	};
	g_autofree char *tag = g_strdup_printf("%065d OK", 0);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		parse_bad(bad[i], ERROR_PROTOCOL);
	parse_bad(tag, ERROR_PROTOCOL);
}

static void test_other(void)
{
	static const char *const rows[] = {
		"",
		"*",
		"* ",
		"* NOOP",
		"* 99 NOOP",
		"* 99",
		"* 3 RECENT",
		"* XFOO {3}\r\nabc",
		"* LSUB () \"/\" x",
		"* NAMESPACE NIL NIL NIL",
		"* ID (\"name\" \"x\") ",
		"* OKAY",
		"* -1 EXISTS",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i]);
		g_assert_cmpint(response.kind, ==, IMAP_UNTAGGED);
		g_assert_cmpint(response.data, ==, IMAP_DATA_OTHER);
		imap_response_clear(&response);
	}
}

/* --- LIST ---------------------------------------------------------------------------------- */

static void test_list(void)
{
	static const struct {
		const char *line;
		const char *mailbox;
		char separator;
		unsigned attributes;
	} rows[] = {
		{"* LIST () \"/\" INBOX", "INBOX", '/', 0},
		{"* list (\\noselect \\Sent \\X) \".\" \"a b\"", "a b", '.',
		 IMAP_LIST_NOSELECT | IMAP_LIST_SENT},
		{"* LIST (\\NonExistent \\Subscribed) NIL a/b", "a/b", 0,
		 IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT | IMAP_LIST_SUBSCRIBED},
		{"* LIST (\\NoInferiors \\All \\Archive \\Drafts \\Flagged \\Junk \\Trash) / x",
		 "x", '/',
		 IMAP_LIST_NOINFERIORS | IMAP_LIST_ALL | IMAP_LIST_ARCHIVE | IMAP_LIST_DRAFTS |
			 IMAP_LIST_FLAGGED | IMAP_LIST_JUNK | IMAP_LIST_TRASH},
		{"* LIST NIL \"/\" x", "x", '/', 0},
		{"* LIST (NIL) \"/\" x", "x", '/', 0},
		{"* LIST (\"\\\\Noselect\" \"\\Sent\") \"/\" x", "x", '/',
		 IMAP_LIST_NOSELECT | IMAP_LIST_SENT},
		{"* LIST () \"\\\\\" x", "x", '\\', 0},
		{"* LIST () \"\" x", "x", 0, 0},
		{"* LIST () {1}\r\n/ {5}\r\na\r\n(\"", "a\r\n(\"", '/', 0},
		{"* LIST () \"/\" NIL", "NIL", '/', 0},
		{"* LIST () \"/\" \"NIL\"", "NIL", '/', 0},
		{"* LIST (\\Noselect) \"/\" \"\"", "", '/', IMAP_LIST_NOSELECT},
		{"* LIST () \"/\" \"q\\\"uo b\\\\s\"", "q\"uo b\\s", '/', 0},
		{"* LIST () \"/\" a]b\tc%*{5}", "a]b\tc%*{5}", '/', 0},
		{"* LIST () \"/\" a(b\"c ", "a(b\"c", '/', 0},
		{"* LIST () \"/\" ../\xff&bad", "../\xff&bad", '/', 0},
		{"* LIST () \"/\" x (\"CHILDINFO\" (\"SUBSCRIBED\"))", "x", '/', 0},
		{"* LIST () \"/\" \"x\" (OLDNAME (\"y\")) ((", "x", '/', 0},
		{"* LIST ()\"/\"x", "x", '/', 0},
		{"*  LIST  (  \\Sent  )  \"/\"  x  ", "x", '/', IMAP_LIST_SENT},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		g_assert_cmpint(response.data, ==, IMAP_DATA_LIST);
		g_assert_cmpstr(response.mailbox, ==, rows[i].mailbox);
		g_assert_cmpint(response.separator, ==, rows[i].separator);
		g_assert_cmpuint(response.attributes, ==, rows[i].attributes);
		imap_response_clear(&response);
	}
}

static void test_list_unusable(void)
{
	static const char nul[] = "* LIST () \"/\" {3}\r\na\0b";
	struct imap_response response = parse("* LIST () \"//\" x");

	g_assert_cmpint(response.data, ==, IMAP_DATA_OTHER);
	imap_response_clear(&response);
	g_assert_true(parse_bytes(nul, sizeof(nul) - 1, 0, &response, NULL));
	g_assert_cmpint(response.data, ==, IMAP_DATA_OTHER);
	g_assert_null(response.mailbox);
	imap_response_clear(&response);
	for (int n = LIMIT_MAILBOX_NAME - 1; n <= LIMIT_MAILBOX_NAME + 1; n++) {
		g_autofree char *line = g_strdup_printf("* LIST () \"/\" \"%0*d\"", n, 0);
		response = parse(line);
		g_assert_cmpint(response.data, ==,
				n <= LIMIT_MAILBOX_NAME ? IMAP_DATA_LIST : IMAP_DATA_OTHER);
		imap_response_clear(&response);
	}
}

/* --- STATUS, QUOTA, sets, words ------------------------------------------------------------ */

static void test_mailbox_status(void)
{
	struct imap_response response =
		parse("* STATUS \"a b\" (MESSAGES 3 uidnext 9 UIDVALIDITY 9876543210 UNSEEN 1 "
		      "HIGHESTMODSEQ 18446744073709551615 SIZE 7 X 1) ");

	g_assert_cmpint(response.data, ==, IMAP_DATA_MAILBOX_STATUS);
	g_assert_cmpstr(response.mailbox, ==, "a b");
	g_assert_cmpuint(response.status_items, ==, 63);
	g_assert_cmpuint(response.messages, ==, 3);
	g_assert_cmpuint(response.uidnext, ==, 9);
	g_assert_cmpuint(response.uidvalidity, ==, 9876543210);
	g_assert_cmpuint(response.unseen, ==, 1);
	g_assert_cmpuint(response.highestmodseq, ==, UINT64_MAX);
	g_assert_cmpuint(response.size, ==, 7);
	imap_response_clear(&response);

	response = parse("* STATUS {3}\r\na)b(MESSAGES -1 UIDNEXT 9.3736e+06 UNSEEN NIL "
			 "X (a (b)) SIZE 1 SIZE 2 UIDVALIDITY)");
	g_assert_cmpstr(response.mailbox, ==, "a)b");
	g_assert_cmpuint(response.status_items, ==, IMAP_STATUS_SIZE);
	g_assert_cmpuint(response.size, ==, 2);
	imap_response_clear(&response);

	response = parse("* STATUS x ()");
	g_assert_cmpuint(response.status_items, ==, 0);
	imap_response_clear(&response);
	response = parse("* STATUS x NIL");
	g_assert_cmpint(response.data, ==, IMAP_DATA_MAILBOX_STATUS);
	imap_response_clear(&response);
}

static void test_quota(void)
{
	struct imap_response response =
		parse("* QUOTA \"\" (STORAGE 10 512 message 3 9223372036854775807 X 1 2)");

	g_assert_cmpint(response.data, ==, IMAP_DATA_QUOTA);
	g_assert_cmpstr(response.mailbox, ==, "");
	g_assert_true(response.has_storage);
	g_assert_cmpuint(response.storage_used, ==, 10240);
	g_assert_cmpuint(response.storage_limit, ==, 524288);
	g_assert_true(response.has_message_quota);
	g_assert_cmpuint(response.message_used, ==, 3);
	g_assert_cmpuint(response.message_limit, ==, INT64_MAX);
	imap_response_clear(&response);

	response = parse("* QUOTA root (STORAGE 18014398509481983 18014398509481984)");
	g_assert_cmpuint(response.storage_used, ==, UINT64_MAX - 1023);
	g_assert_cmpuint(response.storage_limit, ==, UINT64_MAX);
	imap_response_clear(&response);

	response = parse("* QUOTA root (STORAGE -1 5)");
	g_assert_false(response.has_storage);
	imap_response_clear(&response);
	response = parse("* QUOTA root ()");
	g_assert_cmpint(response.data, ==, IMAP_DATA_QUOTA);
	imap_response_clear(&response);
}

static void test_numbers(void)
{
	struct imap_response response = parse("* 4294967296 exists ");

	g_assert_cmpint(response.data, ==, IMAP_DATA_EXISTS);
	g_assert_cmpuint(response.number, ==, 4294967296);
	imap_response_clear(&response);
	response = parse("*  0  EXPUNGE");
	g_assert_cmpint(response.data, ==, IMAP_DATA_EXPUNGE);
	g_assert_cmpuint(response.number, ==, 0);
	imap_response_clear(&response);
}

static void test_sets(void)
{
	static const struct {
		const char *line;
		const char *set;
		bool has_all;
		bool earlier;
	} rows[] = {
		{"* SEARCH", "", true, false},
		{"* SEARCH ", "", true, false},
		{"* SEARCH 1 2  5 ", "1:2,5", true, false},
		{"* search 5 2 (MODSEQ 917)", "2,5", true, false},
		{"* SEARCH 1 9.3736e+06", "", false, false},
		{"* SEARCH 1 0", "", false, false},
		{"* ESEARCH (TAG \"a\") UID ALL 1:5,9", "1:5,9", true, false},
		{"* ESEARCH (TAG \"a\") UID COUNT 6 ALL 1:5,9 MODSEQ 3 ", "1:5,9", true, false},
		{"* esearch uid all 4294967295", "4294967295", true, false},
		{"* ESEARCH (TAG \"a\") UID", "", false, false},
		{"* ESEARCH (TAG \"a\") ALL 1:5", "", false, false},
		{"* ESEARCH (TAG \"a\") UID ALL 0", "", false, false},
		{"* ESEARCH (TAG \"a\") UID ALL \"\"", "", false, false},
		{"* ESEARCH (TAG \"a\") UID ALL", "", false, false},
		{"* ESEARCH (TAG \"a\") UID ALL (1)", "", false, false},
		{"* ESEARCH", "", false, false},
		{"* VANISHED 1:4294967295", "1:4294967295", false, false},
		{"* VANISHED (EARLIER) 41,43:116,118 ", "41,43:116,118", false, true},
		{"* vanished(earlier)7:5", "5:7", false, true},
		{"* VANISHED (EARLIER)", "", false, true},
		{"* VANISHED", "", false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		g_assert_cmpint(response.data, ==, i < 16 ? IMAP_DATA_SEARCH : IMAP_DATA_VANISHED);
		assert_set(&response.set, rows[i].set);
		g_assert_cmpint(response.has_all, ==, rows[i].has_all);
		g_assert_cmpint(response.earlier, ==, rows[i].earlier);
		imap_response_clear(&response);
	}
}

static void test_words(void)
{
	static const struct {
		const char *line;
		enum imap_data data;
		const char *words;
	} rows[] = {
		{"* CAPABILITY IMAP4rev1  idle AUTH=PLAIN ", IMAP_DATA_CAPABILITY,
		 "IMAP4REV1 IDLE AUTH=PLAIN"},
		{"* CAPABILITY", IMAP_DATA_CAPABILITY, ""},
		{"* CAPABILITY LITERAL + SASL-IR", IMAP_DATA_CAPABILITY, "LITERAL+ SASL-IR"},
		{"* CAPABILITY LITERAL - X", IMAP_DATA_CAPABILITY, "LITERAL- X"},
		{"* CAPABILITY + X\033Y Z", IMAP_DATA_CAPABILITY, "+ Z"},
		{"* ENABLED QRESYNC condstore", IMAP_DATA_ENABLED, "QRESYNC CONDSTORE"},
		{"* ENABLED", IMAP_DATA_ENABLED, ""},
		{"* FLAGS (\\Seen NIL \"$Junk\" (x) a]b)", IMAP_DATA_FLAGS, "\\Seen $Junk a]b"},
		{"* FLAGS ()", IMAP_DATA_FLAGS, ""},
		{"* FLAGS NIL", IMAP_DATA_FLAGS, ""},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		g_assert_cmpint(response.data, ==, rows[i].data);
		assert_words(response.words, rows[i].words);
		imap_response_clear(&response);
	}
}

static void test_words_limit(void)
{
	for (int n = LIMIT_CAPABILITIES - 1; n <= LIMIT_CAPABILITIES + 1; n++) {
		g_autoptr(GString) line = g_string_new("* CAPABILITY");
		for (int i = 0; i < n; i++)
			g_string_append(line, " X");
		if (n <= LIMIT_CAPABILITIES) {
			struct imap_response response = parse(line->str);
			g_assert_cmpuint(response.words->len, ==, n);
			imap_response_clear(&response);
		} else {
			parse_bad(line->str, ERROR_LIMIT);
		}
	}
}

static void test_token_limit(void)
{
	for (int n = LIMIT_TOKENS - 1; n <= LIMIT_TOKENS + 1; n++) {
		g_autoptr(GString) line = g_string_new("* FLAGS (");
		/* brackets count too, and NIL does not fill the list */
		for (int i = 0; i < n - 2; i++)
			g_string_append(line, "NIL ");
		g_string_append_c(line, ')');
		if (n <= LIMIT_TOKENS) {
			struct imap_response response = parse(line->str);
			imap_response_clear(&response);
		} else {
			parse_bad(line->str, ERROR_LIMIT);
		}
	}
}

/* Every beginning of a good response is refused or understood, and never read beyond. */
static void test_cut(void)
{
	static const char *const lines[] = {
		("* 12 FETCH (UID 5 FLAGS (\\Seen \"a\\\"b\") INTERNALDATE \"17-Jul-1996 02:44:25 "
		 "-0700\" MODSEQ (624) BODY[HEADER.FIELDS (\"A\")]<0.5> {5}\r\nhello BODY[] NIL)"),
		"* OK [PERMANENTFLAGS (\\Seen \\*)] text",
		"* LIST (\\Sent) \"\\\\\" {3}\r\nabc (X (\"y\"))",
		"* STATUS \"a\" (MESSAGES 1 UIDNEXT 2)",
		"* ESEARCH (TAG \"a\") UID ALL 1:5,9",
		"* VANISHED (EARLIER) 1:5",
		"* QUOTA \"\" (STORAGE 1 2)",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		for (size_t len = 0; len <= strlen(lines[i]); len++) {
			struct imap_response response;
			if (parse_bytes(lines[i], len, 0, &response, NULL))
				imap_response_clear(&response);
		}
	}
}

/* --- Errors -------------------------------------------------------------------------------- */

static void test_errors(void)
{
	static const struct {
		const char *line;
		int code;
		const char *message;
	} rows[] = {
		{"a NO [NONEXISTENT] no such folder", ERROR_GONE, "cannot: no such folder"},
		{"a NO [EXPUNGEISSUED] x", ERROR_GONE, "cannot: x"},
		{"a NO [OVERQUOTA] x", ERROR_QUOTA, "cannot: x"},
		{"a NO [NOPERM] x", ERROR_DENIED, "cannot: x"},
		{"a NO [AUTHORIZATIONFAILED] x", ERROR_AUTH, "cannot: x"},
		{"a NO [AUTHENTICATIONFAILED] x", ERROR_AUTH, "cannot: x"},
		{"a NO [EXPIRED] x", ERROR_AUTH, "cannot: x"},
		{"a NO [PRIVACYREQUIRED] x", ERROR_AUTH, "cannot: x"},
		{"a NO [CONTACTADMIN] x", ERROR_AUTH, "cannot: x"},
		{"a NO [INUSE] x", ERROR_BUSY, "cannot: x"},
		{"a NO [LIMIT] x", ERROR_TEMPORARY, "cannot: x"},
		{"a NO [UNAVAILABLE] x", ERROR_TEMPORARY, "cannot: x"},
		{"a NO [SERVERBUG] x", ERROR_SERVER, "cannot: x"},
		{"a NO [READ-ONLY] x", ERROR_READ_ONLY, "cannot: x"},
		{"a NO [TRYCREATE] x", ERROR_GONE, "cannot: x"},
		{"a BAD [TOOBIG] x", ERROR_LIMIT, "cannot: x"},
		{"a NO [ALREADYEXISTS] x", ERROR_EXISTS, "cannot: x"},
		{"a NO [HASCHILDREN] x", ERROR_NOT_EMPTY, "cannot: x"},
		{"a NO [CANNOT] x", ERROR_REFUSED, "cannot: x"},
		{"a NO [throttled] x", ERROR_TEMPORARY, "cannot: x"},
		{"a NO [XWHAT] x", ERROR_SERVER, "cannot: x"},
		{"a NO [XWHAT]", ERROR_SERVER, "cannot: XWHAT"},
		{"a NO", ERROR_SERVER, "cannot: refused by the server"},
		{"a BAD \033x", ERROR_SERVER, "cannot: \\x1Bx"},
		{"* BYE x", ERROR_TEMPORARY, "cannot: x"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct imap_response response = parse(rows[i].line);
		g_autoptr(GError) error = imap_response_error(&response, "cannot");
		g_assert_error(error, MAILFS_ERROR, rows[i].code);
		g_assert_cmpstr(error->message, ==, rows[i].message);
		imap_response_clear(&response);
	}
}

static void test_parse_error_text(void)
{
	struct imap_response response;
	g_autoptr(GError) error = NULL;

	g_assert_false(parse_bytes("* LIST \033", 8, 0, &response, &error));
	g_assert_cmpstr(error->message, ==, "the server's answer makes no sense: * LIST \\x1B");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap-response/status", test_status);
	g_test_add_func("/imap-response/codes", test_codes);
	g_test_add_func("/imap-response/code-words", test_code_words);
	g_test_add_func("/imap-response/code-uids", test_code_uids);
	g_test_add_func("/imap-response/code-uids-bad", test_code_uids_bad);
	g_test_add_func("/imap-response/myrights", test_myrights);
	g_test_add_func("/imap-response/text-limit", test_text_limit);
	g_test_add_func("/imap-response/continuation", test_continuation);
	g_test_add_func("/imap-response/nonsense", test_nonsense);
	g_test_add_func("/imap-response/other", test_other);
	g_test_add_func("/imap-response/list", test_list);
	g_test_add_func("/imap-response/list-unusable", test_list_unusable);
	g_test_add_func("/imap-response/mailbox-status", test_mailbox_status);
	g_test_add_func("/imap-response/quota", test_quota);
	g_test_add_func("/imap-response/numbers", test_numbers);
	g_test_add_func("/imap-response/sets", test_sets);
	g_test_add_func("/imap-response/words", test_words);
	g_test_add_func("/imap-response/words-limit", test_words_limit);
	g_test_add_func("/imap-response/token-limit", test_token_limit);
	g_test_add_func("/imap-response/cut", test_cut);
	g_test_add_func("/imap-response/errors", test_errors);
	g_test_add_func("/imap-response/parse-error-text", test_parse_error_text);
	return g_test_run();
}
