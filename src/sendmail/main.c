#include "base/text.h"
#include "sendmail/arguments.h"
#include "sendmail/failure.h"
#include "sendmail/handover.h"
#include "sendmail/input.h"
#include "sendmail/interrupt.h"
#include "sendmail/mounts.h"
#include "sendmail/verdict.h"

#include <stdio.h>
#include <unistd.h>

static const char help[] =
	"Usage: mailfs-sendmail [OPTIONS] [--] [ADDRESS...]\n"
	"\n"
	"Sends the message on standard input through the outbox of a mounted account.\n"
	"\n"
	"  -t              to those that the header names, too\n"
	"  -f, -r ADDRESS  the sender; \"\" for none\n"
	"  -F NAME         the sender's name, for mail without From\n"
	"  -i, -oi         a line with a single dot does not end the message\n"
	"  -odb, -odq      do not wait until it is sent\n"
	"  --outbox DIR    the outbox to take; else MAILFS_OUTBOX, else the account\n"
	"                  that is mounted\n"
	"  --help, --version\n";

static char *outbox_of(const struct arguments *arguments, const char *from, GError **error)
{
	const char *given = g_getenv("MAILFS_OUTBOX");

	if (arguments->outbox)
		return g_strdup(arguments->outbox);
	if (given && *given)
		return g_strdup(given);
	return mounts_outbox(arguments->sender && *arguments->sender ? arguments->sender : from,
			     error);
}

/* What was read of the message already, and the rest. */
static bool copy(struct handover *handover, struct input *input, GString *bytes, GError **error)
{
	while (handover_write(handover, bytes->str, bytes->len, error)) {
		if (input->ended)
			return true;
		g_string_truncate(bytes, 0);
		if (!input_read(input, bytes, error))
			return false;
	}
	return false;
}

static bool hand_over(struct handover *handover, const struct arguments *arguments,
		      struct input *input, int *ret_reader, GError **error)
{
	g_autoptr(GString) bytes = g_string_new(NULL);
	g_autofree char *envelope = arguments_envelope(arguments);
	g_autofree char *outbox = NULL;
	g_autofree char *from = NULL;
	bool has_from;

	if (!input_read_header(input, bytes, error))
		return false;
	from = input_from(bytes, &has_from);
	outbox = outbox_of(arguments, from, error);
	if (!outbox || !handover_begin(handover, outbox, error))
		return false;
	if (arguments->full_name && arguments->sender && *arguments->sender && !has_from &&
	    bytes->len > 0)
		input_add_from(bytes, arguments->full_name, arguments->sender);
	if (!copy(handover, input, bytes, error) || !handover_finish(handover, envelope, error))
		return false;
	if (interrupt_came(input->interrupt))
		return failure_set(error, EX_TEMPFAIL, "interrupted, nothing is sent");
	return handover_commit(handover, ret_reader, error);
}

static bool run(const struct arguments *arguments, GError **error)
{
	__attribute__((cleanup(handover_clear))) struct handover handover = {.dir = -1, .fd = -1};
	struct interrupt interrupt;
	struct input input = {STDIN_FILENO, &interrupt, .dot_ends = arguments->dot_ends};
	int reader;
	bool ok;

	if (!interrupt_hold(&interrupt))
		return failure_errno(error, EX_OSERR, "hold back", "signals");
	ok = hand_over(&handover, arguments, &input, &reader, error);
	if (!ok)
		handover_clear(&handover);
	interrupt_release(&interrupt);
	if (!ok)
		return false;
	if (arguments->wait)
		return verdict_wait(reader, handover.path, handover.name, error);
	close(reader);
	return true;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	g_autoptr(GError) error = NULL;

	switch (arguments_parse(&arguments, argc, argv, &error)) {
	case ARGUMENTS_HELP:
		fputs(help, stdout);
		return EX_OK;
	case ARGUMENTS_VERSION:
		puts("mailfs-sendmail " MAILFS_VERSION);
		return EX_OK;
	case ARGUMENTS_ERROR:
		break;
	case ARGUMENTS_RUN:
		run(&arguments, &error);
		arguments_clear(&arguments);
		break;
	}
	if (!error)
		return EX_OK;
	fprintf(stderr, "mailfs-sendmail: %s\n", error->message);
	return error->code;
}
