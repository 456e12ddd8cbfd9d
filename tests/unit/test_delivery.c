#include "outbox/delivery.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define HANDED_MS INT64_C(1600000000000)

static int file_with(const char *text)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	return fd;
}

static struct queue_file new_file(void)
{
	return (struct queue_file){
		.id = 1,
		.step = QUEUE_WAITING,
		.name = g_strdup("m.eml"),
		.info = {.handed_ms = HANDED_MS,
			 .recipients = g_ptr_array_new_with_free_func(queue_recipient_free)}};
}

static void begin(struct delivery *delivery, struct queue_file *file, const char *to)
{
	g_autofree char *text = g_strdup_printf("From: a@b.org\nTo: %s\n\nhello\n", to);
	g_autoptr(GError) error = NULL;

	g_assert_true(delivery_init(delivery, file, file_with(text), "me@b.org", 0, &error));
	g_assert_no_error(error);
}

/* The next try, after what the last one left on record. */
static void begin_again(struct delivery *delivery, const char *to)
{
	struct queue_file file = delivery->file;

	delivery->file = (struct queue_file){0};
	delivery_clear(delivery);
	begin(delivery, &file, to);
}

static void answer(struct delivery *delivery, unsigned number, unsigned code, const char *text)
{
	struct smtp_reply reply = {.code = code, .text = (char *)text};

	delivery_recipient(delivery, number, &reply);
}

static void finish(struct delivery *delivery, enum smtp_outcome outcome, unsigned code,
		   const char *text)
{
	struct smtp_reply reply = {.code = code, .text = (char *)text};

	delivery_done(delivery, outcome, code ? &reply : NULL, text);
}

static enum queue_verdict verdict(const struct delivery *delivery, unsigned number)
{
	const struct queue_recipient *recipient =
		g_ptr_array_index(delivery->file.info.recipients, number);

	return recipient->verdict;
}

static void test_sent(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org, y@c.org");
	g_assert_cmpuint(d.transaction.recipients->len, ==, 2);
	g_assert_cmpstr(d.transaction.sender, ==, "a@b.org");
	g_assert_cmpstr(g_ptr_array_index(d.transaction.recipients, 1), ==, "y@c.org");
	g_assert_nonnull(d.file.info.message_id);
	answer(&d, 0, 250, "250 ok");
	answer(&d, 1, 250, "250 ok");
	g_assert_cmpint(verdict(&d, 1), ==, QUEUE_TAKEN);
	finish(&d, SMTP_ACCEPTED, 250, "250 queued");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_SENT);
	g_assert_cmpint(d.file.info.error, ==, 0);
	delivery_clear(&d);
}

/* Who is refused is told, who has to wait is asked alone, who has it never again. */
static void test_single_recipients(void)
{
	struct queue_file file = new_file();
	g_autofree char *message_id = NULL;
	struct delivery d;

	begin(&d, &file, "ok@c.org, bad@c.org, later@c.org");
	message_id = g_strdup(d.file.info.message_id);
	answer(&d, 0, 250, "250 ok");
	answer(&d, 1, 550, "550 no such user");
	answer(&d, 2, 451, "451 greylisted");
	finish(&d, SMTP_ACCEPTED, 250, "250 queued");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_WAITING);
	g_assert_cmpstr(d.file.info.reply, ==, "451 greylisted");
	g_assert_cmpint(d.file.info.error, ==, EAGAIN);
	g_assert_cmpuint(d.file.info.tries, ==, 1);
	g_assert_cmpint(d.file.info.not_before_ms, ==, HANDED_MS + MINUTE_MS);
	/* Written anew meanwhile, with a domain in other letters. */
	begin_again(&d, "ok@C.ORG, bad@c.org, later@c.org");
	g_assert_cmpuint(d.batch->len, ==, 1);
	g_assert_cmpstr(g_ptr_array_index(d.addresses, 0), ==, "later@c.org");
	g_assert_cmpstr(d.file.info.message_id, ==, message_id);
	g_assert_cmpint(d.file.info.date_s, ==, HANDED_MS / 1000);
	answer(&d, 0, 250, "250 ok");
	finish(&d, SMTP_ACCEPTED, 250, "250 queued");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_FAILED);
	g_assert_cmpint(d.file.info.error, ==, EIO);
	g_assert_cmpstr(d.file.info.reply, ==, "550 no such user");
	g_assert_cmpint(verdict(&d, 2), ==, QUEUE_DONE);
	delivery_clear(&d);
}

static void test_refused_as_a_whole(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org, y@c.org");
	finish(&d, SMTP_REFUSED, 554, "554 not you");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_FAILED);
	g_assert_cmpint(verdict(&d, 0), ==, QUEUE_REFUSED);
	g_assert_cmpint(verdict(&d, 1), ==, QUEUE_REFUSED);
	g_assert_cmpstr(d.file.info.reply, ==, "554 not you");
	delivery_clear(&d);
}

static void test_refused_text(void)
{
	struct queue_file file = new_file();
	struct smtp_reply reply = {
		.code = 552, .enhanced = {5, 3, 4}, .text = (char *)"552 5.3.4 too big"};
	struct delivery d;

	begin(&d, &file, "x@c.org");
	answer(&d, 0, 250, "250 ok");
	delivery_done(&d, SMTP_REFUSED, &reply, reply.text);
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_FAILED);
	g_assert_cmpint(d.file.info.error, ==, EMSGSIZE);
	delivery_clear(&d);
}

static void test_unknown(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org, later@c.org");
	answer(&d, 0, 250, "250 ok");
	answer(&d, 1, 450, "450 later");
	finish(&d, SMTP_UNKNOWN, 0, "the connection was lost");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_FAILED);
	g_assert_cmpint(verdict(&d, 0), ==, QUEUE_UNKNOWN);
	g_assert_cmpint(verdict(&d, 1), ==, QUEUE_OPEN);
	g_assert_nonnull(strstr(d.file.info.reply, "the connection was lost"));
	delivery_clear(&d);
}

static void test_pauses(void)
{
	static const int minutes[] = {1, 5, 15, 30, 60, 60, 60};
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org");
	for (unsigned i = 0; i < G_N_ELEMENTS(minutes); i++) {
		finish(&d, SMTP_DEFERRED, 421, "421 busy");
		g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_WAITING);
		g_assert_cmpint(d.file.info.not_before_ms, ==, HANDED_MS + minutes[i] * MINUTE_MS);
		begin_again(&d, "x@c.org");
		g_assert_cmpuint(d.batch->len, ==, 1);
	}
	finish(&d, SMTP_DEFERRED, 421, "421 busy");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS + 5 * DAY_MS - 1), ==, QUEUE_WAITING);
	begin_again(&d, "x@c.org");
	finish(&d, SMTP_DEFERRED, 421, "421 busy");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS + 5 * DAY_MS), ==, QUEUE_FAILED);
	g_assert_cmpint(d.file.info.error, ==, ETIMEDOUT);
	g_assert_nonnull(strstr(d.file.info.reply, "421 busy"));
	delivery_clear(&d);
}

static char *many(unsigned count)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(text, "%su%u@c.org", i ? ",\n " : "", i);
	return g_string_free(text, FALSE);
}

/* By the hundred, one round after the other. */
static void test_long_list(void)
{
	static const unsigned sizes[] = {100, 100, 50};
	g_autofree char *to = many(250);
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, to);
	for (unsigned round = 0; round < G_N_ELEMENTS(sizes); round++) {
		g_assert_cmpuint(d.batch->len, ==, sizes[round]);
		for (unsigned i = 0; i < sizes[round]; i++)
			answer(&d, i, i == 7 ? 450 : 250, "250 ok");
		finish(&d, SMTP_ACCEPTED, 250, "250 queued");
		g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_WAITING);
		g_assert_cmpuint(d.file.info.tries, ==, round == 2 ? 1 : 0);
		g_assert_cmpint(d.file.info.not_before_ms, ==,
				HANDED_MS + (round == 2 ? MINUTE_MS : 0));
		begin_again(&d, to);
	}
	g_assert_cmpuint(d.batch->len, ==, 3);
	g_assert_cmpstr(g_ptr_array_index(d.addresses, 2), ==, "u207@c.org");
	delivery_clear(&d);
}

/* The server hung up on a long list: nobody is asked again before the pause is over. */
static void test_long_list_deferred(void)
{
	g_autofree char *to = many(150);
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, to);
	finish(&d, SMTP_DEFERRED, 0, "the connection was lost");
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_WAITING);
	g_assert_cmpuint(d.file.info.tries, ==, 1);
	g_assert_cmpint(d.file.info.not_before_ms, ==, HANDED_MS + MINUTE_MS);
	delivery_clear(&d);
}

/* A connection that was about to end is no try. */
static void test_again(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org");
	finish(&d, SMTP_DEFERRED, 421, "421 bye");
	delivery_again(&d, HANDED_MS);
	g_assert_cmpint(d.file.info.error, ==, 0);
	g_assert_cmpuint(d.file.info.tries, ==, 0);
	g_assert_cmpint(d.file.info.not_before_ms, ==, HANDED_MS);
	begin_again(&d, "x@c.org");
	g_assert_cmpuint(d.batch->len, ==, 1);
	delivery_clear(&d);
}

/* A message that was altered since: who is named now, but nobody twice. */
static void test_altered(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "has@c.org, wrong@c.org");
	answer(&d, 0, 250, "250 ok");
	answer(&d, 1, 550, "550 no");
	finish(&d, SMTP_ACCEPTED, 250, "250 queued");
	begin_again(&d, "has@c.org, right@c.org");
	g_assert_cmpuint(d.batch->len, ==, 1);
	g_assert_cmpstr(g_ptr_array_index(d.addresses, 0), ==, "right@c.org");
	g_assert_cmpuint(d.file.info.recipients->len, ==, 2);
	delivery_clear(&d);
	file = new_file();
	begin(&d, &file, "has@c.org");
	answer(&d, 0, 250, "250 ok");
	finish(&d, SMTP_ACCEPTED, 250, "250 queued");
	begin_again(&d, "has@c.org");
	g_assert_true(delivery_is_done(&d));
	g_assert_cmpint(delivery_judge(&d, HANDED_MS), ==, QUEUE_SENT);
	delivery_clear(&d);
}

static void test_bad_message(void)
{
	struct queue_file file = new_file();
	g_autoptr(GError) error = NULL;
	struct delivery d;

	g_assert_false(delivery_init(&d, &file, file_with("Subject: to nobody\n\nhello\n"),
				     "me@b.org", 0, &error));
	g_assert_no_error(error);
	g_assert_cmpint(d.file.info.error, ==, EINVAL);
	g_assert_nonnull(d.file.info.reply);
	delivery_clear(&d);
}

static void test_held(void)
{
	struct queue_file file = new_file();
	struct delivery d;

	begin(&d, &file, "x@c.org");
	delivery_held(&d, EHOSTUNREACH, "cannot connect");
	g_assert_cmpstr(d.file.info.reply, ==, "cannot connect");
	g_assert_cmpint(d.file.info.error, ==, EHOSTUNREACH);
	g_assert_cmpuint(d.file.info.tries, ==, 0);
	g_assert_false(delivery_is_expired(&d, HANDED_MS + 5 * DAY_MS - 1));
	g_assert_true(delivery_is_expired(&d, HANDED_MS + 5 * DAY_MS));
	delivery_expire(&d);
	g_assert_cmpint(verdict(&d, 0), ==, QUEUE_REFUSED);
	delivery_clear(&d);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/delivery/sent", test_sent);
	g_test_add_func("/delivery/single_recipients", test_single_recipients);
	g_test_add_func("/delivery/refused_as_a_whole", test_refused_as_a_whole);
	g_test_add_func("/delivery/refused_text", test_refused_text);
	g_test_add_func("/delivery/unknown", test_unknown);
	g_test_add_func("/delivery/pauses", test_pauses);
	g_test_add_func("/delivery/long_list", test_long_list);
	g_test_add_func("/delivery/long_list_deferred", test_long_list_deferred);
	g_test_add_func("/delivery/again", test_again);
	g_test_add_func("/delivery/altered", test_altered);
	g_test_add_func("/delivery/bad_message", test_bad_message);
	g_test_add_func("/delivery/held", test_held);
	return g_test_run();
}
