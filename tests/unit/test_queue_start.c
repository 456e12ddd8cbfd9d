/* What the queue finds when it starts: also what no process of ours has left there. */
#include "queue_help.h"

#include <errno.h>

/* With whatever `path` and `text` come next, until NULL. */
static void start(struct fixture *fixture, const char *const (*files)[2])
{
	fixture_init(fixture);
	queue_close(&fixture->queue);
	for (; (*files)[0]; files++)
		plant(fixture, (*files)[0], (*files)[1]);
	fixture_open(fixture);
}

static void assert_all(struct fixture *fixture, const char *expected)
{
	g_autofree char *text = describe(fixture);

	g_assert_cmpstr(text, ==, expected);
}

#define NOTHING                                                                                    \
	" handed=0 tries=0 error=0 reply=(null) given=(null) sender=(null) message_id=(null)"
#define HANDED " handed=1 tries=0 error=0 reply=(null) given=(null) sender=(null) message_id=(null)"

static void test_steps(void)
{
	static const char *const files[][2] = {
		{"draft/1.a.eml", "a"},	  {"draft/2.b.txt", "b"},   {"whole/3.c.eml", "c"},
		{"whole/4.d.txt", "d"},	  {"whole/5.e.eml", ""},    {"waiting/6.f.eml", "f"},
		{"sending/7.g.eml", "g"}, {"sent/8.h.eml", "h"},    {"failed/9.i.eml", "i"},
		{"sent/10.f.eml", "F"},	  {"failed/11.f.eml", "i"}, {NULL, NULL},
	};
	struct fixture fixture;

	start(&fixture, files);
	assert_all(&fixture,
		   "draft a.eml 'a'" NOTHING " copy=0 (null)\n"
		   "draft b.txt 'b'" NOTHING " copy=0 (null)\n"
		   "draft d.txt 'd'" NOTHING " copy=0 (null)\n"
		   "draft e.eml ''" NOTHING " copy=0 (null)\n"
		   "waiting c.eml 'c'" HANDED " copy=0 (null)\n"
		   "waiting f.eml 'f'" HANDED " copy=0 (null)\n"
		   "sent h.eml 'h'" NOTHING " copy=0 (null)\n"
		   "sent f.eml 'F'" NOTHING " copy=0 (null)\n"
		   "failed g.eml 'g' handed=0 tries=0 error=5 reply=the process ended while the "
		   "message was sent: nobody knows whether it arrived given=(null) sender=(null) "
		   "message_id=(null) copy=0 (null)\n"
		   "failed i.eml 'i'" NOTHING " copy=0 (null)\n"
		   "failed f.eml 'i'" NOTHING " copy=0 (null)\n");
	g_assert_cmpuint(find(&fixture, false, "f.eml"), ==, 6);
	g_assert_cmpuint(put(&fixture, "x", "x"), ==, 12);
	g_assert_true(has(&fixture, "failed/7.g.eml"));
	fixture_clear(&fixture);
}

static void test_sending(void)
{
	struct fixture fixture;
	struct queue_file file;

	fixture_init(&fixture);
	put_failed(&fixture, "a.eml");
	uint32_t id = put(&fixture, "a.eml", "a\n");

	file = take(&fixture, id);
	add_recipient(&file, "a@example.org", QUEUE_DONE, "250 ok");
	add_recipient(&file, "b@example.org", QUEUE_TAKEN, "250 so far");
	add_recipient(&file, "c@example.org", QUEUE_REFUSED, "550 no");
	add_recipient(&file, "d@example.org", QUEUE_OPEN, "451 later");
	commit(&fixture, &file);
	queue_file_clear(&file);
	for (int i = 0; i < 2; i++) {
		fixture_reopen(&fixture);
		g_assert_cmpuint(find(&fixture, true, "a~2.eml"), ==, id);
		file = get(&fixture, id);
		GString *text = g_string_new(NULL);

		describe_info(&file.info, text);
		g_assert_nonnull(strstr(text->str, " <a@example.org done 250 ok> <b@example.org "
						   "unknown 250 so far> <c@example.org refused 550 "
						   "no> <d@example.org open 451 later>"));
		g_string_free(text, TRUE);
		queue_file_clear(&file);
	}
	g_assert_cmpuint(queue_pending(fixture.queue), ==, 0);
	fixture_clear(&fixture);
}

/* What is not ours stays where it is, and is not shown. */
static void test_foreign(void)
{
	static const char *const files[][2] = {
		{"waiting/x.eml", "x"},
		{"waiting/01.x.eml", "x"},
		{"waiting/0.x.eml", "x"},
		{"waiting/1x.eml", "x"},
		{"waiting/1", "x"},
		{"waiting/.1.x.eml", "x"},
		{"waiting/-1.x.eml", "x"},
		{"waiting/2...", "x"},
		{"waiting/2..", "x"},
		{"waiting/4294967296.x.eml", "x"},
		{"info/x", "x"},
		{"info/01", "x"},
		{"info/7.tmp", "x"},
		{"info/8", "x"},
		{"info/9.old", "x"},
		{"waiting/5.", "x"},
		{"waiting/6.dup.eml", "1"},
		{"sending/6.dup.eml", "2"},
		{"draft/10.y.eml", "1"},
		{"waiting/11.y.eml", "2"},
		{NULL, NULL},
	};
	g_autofree char *longest = g_strnfill(QUEUE_NAME_MAX + 1, 'x');
	struct fixture fixture;
	g_autofree char *link = NULL, *long_path = NULL, *dir = NULL;

	fixture_init(&fixture);
	queue_close(&fixture.queue);
	long_path = g_strdup_printf("waiting/3.%s", longest);
	link = g_build_filename(fixture.dir, "waiting", "4.link.eml", NULL);
	dir = g_build_filename(fixture.dir, "waiting", "12.dir.eml", NULL);
	plant(&fixture, long_path, "x");
	g_assert_cmpint(symlink("x.eml", link), ==, 0);
	g_assert_cmpint(mkdir(dir, 0700), ==, 0);
	for (int i = 0; files[i][0]; i++)
		plant(&fixture, files[i][0], files[i][1]);
	fixture_open(&fixture);
	g_autoptr(GPtrArray) listed = queue_list(fixture.queue, false);

	/* y.eml has one of the two; the other has no name any more, and is not sent. */
	g_assert_cmpuint(listed->len, ==, 1);
	g_assert_cmpuint(find(&fixture, false, "y.eml"), ==, 10);
	g_assert_cmpuint(find(&fixture, true, "dup.eml"), ==, 6);
	assert_text(&fixture, 6, "2");
	for (int i = 0; files[i][0]; i++) {
		bool ours = i == 12 || i == 13 || i == 15 || i == 17;

		g_test_message("%s", files[i][0]);
		g_assert_cmpint(has(&fixture, files[i][0]), ==, !ours);
	}
	g_assert_true(has(&fixture, long_path));
	g_assert_cmpuint(queue_create(fixture.queue, "new", NULL), ==, 13);
	fixture_clear(&fixture);
}

static void test_no_dir(void)
{
	static const char *const names[] = {"draft", "info", "failed"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct fixture fixture;
		g_autoptr(GError) error = NULL;
		g_autofree char *path = NULL;

		fixture_init(&fixture);
		queue_close(&fixture.queue);
		path = g_build_filename(fixture.dir, names[i], NULL);
		g_assert_cmpint(rmdir(path), ==, 0);
		g_assert_cmpint(symlink("/", path), ==, 0);
		g_assert_null(queue_open(fixture.dir, 0, &error));
		assert_error(&error, ERROR_IO);
		g_assert_cmpint(unlink(path), ==, 0);
		fixture_open(&fixture);
		fixture_clear(&fixture);
	}
}

/* Of a record that cannot be read nobody knows who has the mail. */
static void test_damaged(void)
{
	static const char *const texts[] = {
		"",
		"x",
		"[message]\n",
		"[message]\nstep=waiting\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\n",
		"[message]\nstep=waiting\nname=a.eml\ncopy=none\n",
		"[message]\nstep=waiting\nname=\"\ncopy=none\n",
		"[message]\nstep=waiting\nname=\"a\\\"\ncopy=none\n",
		"[message]\nstep=waiting\nname=\"../a.eml\"\ncopy=none\n",
		"[message]\nstep=waiting\nname=\"..\"\ncopy=none\n",
		"[message]\nstep=wait\nname=\"a.eml\"\ncopy=none\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\ntries=-1\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\ntries=2147483648\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\nhanded_ms="
		"9223372036854775808\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\nrecipients=1\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\nrecipients=10001\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\nrecipients=1\n[0]\nverdict="
		"done\n",
		"[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\nrecipients=1\n[0]\n"
		"address=\"a@example.org\"\nverdict=perhaps\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		const char *const files[][2] = {
			{"waiting/1.a.eml", "a"}, {"info/1", texts[i]}, {"whole/2.b.eml", "b"},
			{"info/2", texts[i]},	  {NULL, NULL},
		};
		struct fixture fixture;

		g_test_message("%s", texts[i]);
		start(&fixture, files);
		g_assert_cmpuint(find(&fixture, true, "a.eml"), ==, 1);
		g_assert_cmpuint(queue_pending(fixture.queue), ==, 0);
		assert_step(&fixture, 2, QUEUE_DRAFT);
		g_assert_true(rename_to(&fixture, 1, "a.eml"));
		fixture_clear(&fixture);
	}
}

static void test_record_limits(void)
{
	static const char *const files[][2] = {
		{"waiting/1.a.eml", "a"},
		{"info/1", "[message]\nstep=waiting\nname=\"a.eml\"\ncopy=none\ntries=2147483647\n"
			   "not_before_ms=9223372036854775807\nother=1\nrecipients=1\n[0]\n"
			   "address=\"a@example.org\"\nverdict=done\n[more]\n"},
		{NULL, NULL},
	};
	struct fixture fixture;
	struct queue_file file;

	start(&fixture, files);
	file = take(&fixture, 1);
	g_assert_cmpuint(file.info.tries, ==, INT_MAX);
	g_assert_cmpuint(file.info.recipients->len, ==, 1);
	queue_file_clear(&file);
	fixture_clear(&fixture);
}

/* A record that says what its file cannot have been on its way to. */
static void test_wrong_record(void)
{
	static const char *const files[][2] = {
		{"draft/1.a.eml", "a"},
		{"info/1", "[message]\nstep=sent\nname=\"a.eml\"\ncopy=none\nrecipients=1\n[0]\n"
			   "address=\"a@example.org\"\nverdict=done\n"},
		{"sending/2.b.eml", "b"},
		{"info/2", "[message]\nstep=draft\nname=\"b.eml\"\ncopy=none\n"},
		{"failed/3.c.eml", "c"},
		{"info/3", "[message]\nstep=sending\nname=\"c.eml\"\ncopy=none\n"},
		{"sent/4.d.eml", "d"},
		{"info/4", "[message]\nstep=waiting\nname=\"d.eml\"\ncopy=none\n"},
		{NULL, NULL},
	};
	struct fixture fixture;
	struct queue_file file;

	start(&fixture, files);
	file = get(&fixture, 1);
	g_assert_cmpint(file.step, ==, QUEUE_DRAFT);
	g_assert_cmpuint(file.info.recipients->len, ==, 0);
	queue_file_clear(&file);
	assert_step(&fixture, 2, QUEUE_FAILED);
	assert_step(&fixture, 3, QUEUE_FAILED);
	assert_step(&fixture, 4, QUEUE_SENT);
	fixture_clear(&fixture);
}

/* Who is to get it was not all said: it does not go to those of its header instead. */
static void test_half_envelope(void)
{
	static const char *const files[][2] = {
		{"whole/1.a.eml", "a"}, {"draft/2..a.eml.envelope", "me\n"},
		{"whole/3.b.eml", "b"}, {"whole/4..b.eml.envelope", "me\nyou\n"},
		{NULL, NULL},
	};
	struct fixture fixture;
	struct queue_file file;

	start(&fixture, files);
	assert_step(&fixture, 1, QUEUE_DRAFT);
	file = get(&fixture, 3);
	g_assert_cmpint(file.step, ==, QUEUE_WAITING);
	g_assert_cmpstr(file.info.given, ==, "me\nyou\n");
	queue_file_clear(&file);
	assert_gone(&fixture, 4);
	fixture_clear(&fixture);
}

/* A file that somebody removed under the queue's hands. */
static void test_vanished(void)
{
	static const char *const files[][2] = {
		{"waiting/1.a.eml", "a"}, {"waiting/2.b.eml", "b"}, {NULL, NULL}};
	struct fixture fixture;
	struct queue_file file;
	g_autofree char *path = NULL;

	start(&fixture, files);
	path = g_build_filename(fixture.dir, files[0][0], NULL);
	g_assert_cmpint(unlink(path), ==, 0);
	file = take(&fixture, 2);
	queue_file_clear(&file);
	assert_gone(&fixture, 1);
	fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue-start/steps", test_steps);
	g_test_add_func("/queue-start/sending", test_sending);
	g_test_add_func("/queue-start/foreign", test_foreign);
	g_test_add_func("/queue-start/no-dir", test_no_dir);
	g_test_add_func("/queue-start/damaged", test_damaged);
	g_test_add_func("/queue-start/record-limits", test_record_limits);
	g_test_add_func("/queue-start/wrong-record", test_wrong_record);
	g_test_add_func("/queue-start/half-envelope", test_half_envelope);
	g_test_add_func("/queue-start/vanished", test_vanished);
	return g_test_run();
}
