#include "sendmail/arguments.h"

#include "base/text.h"
#include "sendmail/failure.h"

#include <getopt.h>
#include <string.h>

#define NAME_MAX_BYTES 200
#define SHOWN_MAX 100

enum { OPTION_OUTBOX = 256, OPTION_HELP, OPTION_VERSION };

static const char letters[] = "+:B:F:GN:R:Ub:e:f:imo:r:tv";

static const struct option long_options[] = {
	{"outbox", required_argument, NULL, OPTION_OUTBOX},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static bool bad_address(const char *text, const char *why, int status, GError **error)
{
	g_autofree char *shown = text_clean(text, -1, SHOWN_MAX);

	return failure_set(error, status, "'%s' is not an address: %s", shown, why);
}

/* Whether what stands before the '@' can be; in quotes it may be anything. The mount looks at it
 * more closely. */
static bool is_local_part(const char *address, size_t len)
{
	if (address[0] == '"')
		return len > 1 && address[len - 1] == '"';
	return len > 0 && strcspn(address, " <>\"@") == len;
}

static bool address_check_simple(const char *address, GError **error)
{
	const char *at = strrchr(address, '@');

	if (!at && !strpbrk(address, " <>\""))
		return bad_address(address, "it has no domain", EX_NOUSER, error);
	if (!at || at[1] == '\0' || strpbrk(at, " <>\"") ||
	    !is_local_part(address, (size_t)(at - address)))
		return bad_address(address, "write it like alice@example.org", EX_USAGE, error);
	return true;
}

/* Where the item of a list ends that begins at `text`; a ',' in quotes is none. `*ret_angle`: its
 * '<', or NULL. */
static const char *item_end(const char *text, const char **ret_angle)
{
	bool quoted = false;

	*ret_angle = NULL;
	for (; *text && (quoted || *text != ','); text++) {
		if (quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (*text == '<' && !quoted)
			*ret_angle = text;
	}
	return text;
}

/* The address of one item, without a display name. */
static char *item_address(const char *item, const char *end, const char *angle)
{
	g_autofree char *text = g_strndup(item, (gsize)(end - item));

	g_strchomp(text);
	if (!angle || !g_str_has_suffix(text, ">"))
		return g_strdup(g_strchug(text));
	text[strlen(text) - 1] = '\0';
	return g_strstrip(g_strdup(text + (angle - item) + 1));
}

bool arguments_addresses(const char *text, GPtrArray *addresses, GError **error)
{
	unsigned count = 0;

	if (!text_is_visible(text))
		return bad_address(text, "it has control characters", EX_USAGE, error);
	while (*text) {
		const char *angle;
		const char *end = item_end(text, &angle);
		g_autofree char *address = item_address(text, end, angle);

		if (*address) {
			if (!address_check_simple(address, error))
				return false;
			g_ptr_array_add(addresses, g_steal_pointer(&address));
			count++;
		}
		text = *end ? end + 1 : end;
	}
	return count > 0 || bad_address("", "it is empty", EX_USAGE, error);
}

static bool set_sender(struct arguments *arguments, const char *text, GError **error)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) why = NULL;

	g_clear_pointer(&arguments->sender, g_free);
	if (*text == '\0' || strcmp(text, "<>") == 0) {
		arguments->sender = g_strdup("");
		return true;
	}
	if (!arguments_addresses(text, addresses, &why))
		return failure_set(error, EX_USAGE, "the sender %s", why->message);
	if (addresses->len != 1)
		return failure_set(error, EX_USAGE, "there can be one sender only");
	arguments->sender = g_strdup(g_ptr_array_index(addresses, 0));
	return true;
}

static bool set_name(struct arguments *arguments, const char *name, GError **error)
{
	if (strlen(name) > NAME_MAX_BYTES || !text_is_visible(name))
		return failure_set(error, EX_USAGE, "the name of -F is too long, or not text");
	g_free(arguments->full_name);
	arguments->full_name = *name ? g_strdup(name) : NULL;
	return true;
}

/* -oX; most of what sendmail(8) knows of these is about how it works itself. */
static void set_old(struct arguments *arguments, const char *value)
{
	if (strcmp(value, "i") == 0)
		arguments->dot_ends = false;
	else if (value[0] == 'd')
		arguments->wait = value[1] != 'q' && value[1] != 'b';
}

static bool unknown(char **argv, GError **error)
{
	char letter[] = {(char)optopt, '\0'};
	g_autofree char *shown = text_clean(letter, -1, 8);

	if (optopt == 0 || optopt >= OPTION_OUTBOX) {
		g_autofree char *word = text_clean(argv[optind - 1], -1, 40);

		return failure_set(error, EX_USAGE, "'%s' is not an option, or lacks its value",
				   word);
	}
	return failure_set(error, EX_USAGE, "unknown option '-%s'", shown);
}

static bool option_apply(struct arguments *arguments, int option, char **argv, GError **error)
{
	switch (option) {
	case 'f':
	case 'r':
		return set_sender(arguments, optarg, error);
	case 'F':
		return set_name(arguments, optarg, error);
	case 'i':
		arguments->dot_ends = false;
		return true;
	case 't':
		arguments->from_header = true;
		return true;
	case 'o':
		set_old(arguments, optarg);
		return true;
	case OPTION_OUTBOX:
		g_free(arguments->outbox);
		arguments->outbox = g_strdup(optarg);
		return true;
	case 'b':
		return strcmp(optarg, "m") == 0 ||
		       failure_set(error, EX_USAGE, "of -b only -bm is known: mail is handed in");
	case 'N':
	case 'R':
		return failure_set(error, EX_USAGE,
				   "-%c: what is reported is an option of the mount, dsn_notify",
				   option);
	case ':':
		return failure_set(error, EX_USAGE, "option '%s' needs a value", argv[optind - 1]);
	case '?':
		return unknown(argv, error);
	default: /* -B, -G, -U, -e, -m, -v: nothing depends on them */
		return true;
	}
}

/* An option behind an address must not become one: other programs take it for an option there. */
static bool recipients_take(struct arguments *arguments, char **words, GError **error)
{
	bool options_ended = strcmp(words[-1], "--") == 0;

	for (; *words; words++) {
		if (**words == '-' && !options_ended)
			return failure_set(error, EX_USAGE, "options stand before the addresses");
		if (!arguments_addresses(*words, arguments->recipients, error))
			return false;
	}
	if (arguments->recipients->len == 0 && !arguments->from_header)
		return failure_set(error, EX_USAGE,
				   "no recipients: name them, or say -t for those of the header");
	return true;
}

static enum arguments_result options_take(struct arguments *arguments, int argc, char **argv,
					  GError **error)
{
	int option;

	optind = 0; /* begins anew, also a second time */
	while ((option = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return ARGUMENTS_HELP;
		if (option == OPTION_VERSION)
			return ARGUMENTS_VERSION;
		if (!option_apply(arguments, option, argv, error))
			return ARGUMENTS_ERROR;
	}
	return recipients_take(arguments, argv + optind, error) ? ARGUMENTS_RUN : ARGUMENTS_ERROR;
}

enum arguments_result arguments_parse(struct arguments *ret, int argc, char **argv, GError **error)
{
	enum arguments_result result;

	*ret = (struct arguments){
		.recipients = g_ptr_array_new_with_free_func(g_free),
		.dot_ends = true,
		.wait = true,
	};
	result = options_take(ret, argc, argv, error);
	if (result != ARGUMENTS_RUN)
		arguments_clear(ret);
	return result;
}

void arguments_clear(struct arguments *arguments)
{
	g_free(arguments->outbox);
	g_free(arguments->sender);
	g_free(arguments->full_name);
	g_clear_pointer(&arguments->recipients, g_ptr_array_unref);
	*arguments = (struct arguments){0};
}

char *arguments_envelope(const struct arguments *arguments)
{
	GString *text = g_string_new(arguments->sender ? arguments->sender : "header");

	g_string_append_c(text, '\n');
	for (guint i = 0; i < arguments->recipients->len; i++)
		g_string_append_printf(text, "%s\n",
				       (char *)g_ptr_array_index(arguments->recipients, i));
	if (arguments->from_header)
		g_string_append(text, "header\n");
	return g_string_free(text, FALSE);
}
