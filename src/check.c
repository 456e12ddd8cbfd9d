#include "check.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/words.h"
#include "config/credentials.h"
#include "outbox/submitter.h"
#include "protocol/pop3_list.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* What a server may lack, by the word that it has for it, and what that means here. */
struct lack {
	const char *word;
	const char *means;
};

static const struct lack imap_lacks[] = {
	{"IDLE", "new mail shows after `poll` seconds at the latest, not at once"},
	{"UIDPLUS", "removed messages stay there, marked as deleted"},
	{"MOVE", "a message is moved by a copy, and then removed"},
	{"SPECIAL-USE", "which folders are Trash and Sent is not known"},
	{"CONDSTORE", "flags that others change are found by looking at all messages"},
	{"QRESYNC", "messages that others remove are found by looking at all messages"},
	{"LIST-STATUS", "news of folders cost a question each"},
	{"QUOTA", "df does not know how much room there is"},
};

static const struct lack pop3_lacks[] = {
	{"UIDL", "messages are told apart by their headers, which takes long"},
	{"TOP", "messages are fetched as a whole for their subjects"},
	{"PIPELINING", "every question waits for the answer to the one before"},
};

static const struct lack smtp_lacks[] = {
	{"8BITMIME", "mail with letters beyond ASCII that is not encoded is refused"},
	{"SMTPUTF8", "addresses with letters beyond ASCII are refused"},
	{"DSN", "dsn_notify means nothing"},
};

/* One connection to a server, whatever it speaks, on its way to a state. */
struct trip {
	void *what;
	void (*poll)(const void *what, struct pollfd *ret_poll, int64_t *ret_deadline_ms);
	bool (*step)(void *what, int64_t now_ms, GError **error);
	bool (*is_there)(const void *what);
};

/* What a mailbox was asked. */
struct visit {
	const struct store_ops *ops;
	struct store *store;
	unsigned folders;
	uint64_t messages; /* of the INBOX; UINT64_MAX: not told */
	bool answered;
	GError *error; /* of the job */
};

static bool trip_lost(GError **error)
{
	if (error && !*error)
		g_set_error_literal(error, MAILFS_ERROR, ERROR_UNREACHABLE,
				    "the server ended the connection");
	return false;
}

static bool trip_go(const struct trip *trip, GError **error)
{
	while (!trip->is_there(trip->what)) {
		struct pollfd poll_fd;
		int64_t deadline;
		int64_t wait;

		trip->poll(trip->what, &poll_fd, &deadline);
		wait = CLAMP(deadline - clock_mono_ms(), 0, G_MAXINT);
		if (deadline == INT64_MAX)
			wait = -1;
		if (poll(&poll_fd, 1, (int)wait) < 0 && errno != EINTR)
			return trip_lost(error);
		if (!trip->step(trip->what, clock_mono_ms(), error))
			return trip_lost(error);
	}
	return true;
}

/* --- the mailbox --- */

static void on_folder(void *data, const struct store_folder *folder)
{
	struct visit *visit = data;

	visit->folders += !(folder->attributes & (STORE_ATTR_NOSELECT | STORE_ATTR_NONEXISTENT));
}

static void on_counts(void *data, const char *name, const struct store_mailbox *mailbox)
{
}

static void on_quota(void *data, const struct store_quota *quota)
{
}

static void on_status(void *data, uint32_t folder, const struct store_mailbox *mailbox)
{
	struct visit *visit = data;

	visit->messages = mailbox->messages;
}

static void on_done(void *data, struct store_job *job, const GError *error)
{
	struct visit *visit = data;

	visit->answered = true;
	if (error && !visit->error)
		visit->error = g_error_copy(error);
	store_job_free(&job);
}

static const struct store_sink sink = {.folder = on_folder,
				       .counts = on_counts,
				       .quota = on_quota,
				       .status = on_status,
				       .done = on_done};

static void visit_poll(const void *what, struct pollfd *ret_poll, int64_t *ret_deadline_ms)
{
	const struct visit *visit = what;

	visit->ops->poll(visit->store, ret_poll, ret_deadline_ms);
}

static bool visit_step(void *what, int64_t now_ms, GError **error)
{
	struct visit *visit = what;

	return visit->ops->step(visit->store, now_ms, error);
}

static bool visit_is_ready(const void *what)
{
	const struct visit *visit = what;

	return visit->ops->ready(visit->store);
}

static bool visit_is_answered(const void *what)
{
	return ((const struct visit *)what)->answered;
}

static bool visit_go(struct visit *visit, bool (*is_there)(const void *), GError **error)
{
	const struct trip trip = {visit, visit_poll, visit_step, is_there};

	if (!trip_go(&trip, error))
		return false;
	if (visit->error)
		g_propagate_error(error, g_error_copy(visit->error));
	return !visit->error;
}

static bool visit_ask(struct visit *visit, struct store_job *job, GError **error)
{
	visit->answered = false;
	visit->ops->submit(visit->store, job, clock_mono_ms());
	return visit_go(visit, visit_is_answered, error);
}

static bool visit_look(struct visit *visit, GError **error)
{
	struct store_job *status = store_job_new(STORE_STATUS);
	uint32_t folder = 1;

	status->names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(status->names, g_strdup("INBOX"));
	status->folders = g_array_new(FALSE, FALSE, sizeof(folder));
	g_array_append_val(status->folders, folder);
	if (!visit_ask(visit, store_job_new(STORE_LIST), error)) {
		store_job_free(&status);
		return false;
	}
	return visit_ask(visit, status, error);
}

/* The rest of the line of `text` that begins with "key: "; NULL: none. Free with g_free(). */
static char *line_value(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *begin = g_strconcat(key, ": ", NULL);

	for (size_t i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], begin))
			return g_strdup(lines[i] + strlen(begin));
	}
	return NULL;
}

static void print_lacks(const char *prefix, const char *description, const struct lack *lacks,
			size_t count)
{
	g_autofree char *has = line_value(description, "capabilities");

	if (g_strcmp0(has, POP3_CAPA_NOT_TOLD) == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!has || !words_have(has, lacks[i].word))
			printf("%slacks %s: %s\n", prefix, lacks[i].word, lacks[i].means);
	}
}

/* Of a connection that failed, all that was learnt. True if there is more to tell. */
static bool print_description(const char *prefix, const char *description, bool ok)
{
	g_auto(GStrv) lines = g_strsplit(description, "\n", -1);
	bool talked = strstr(description, "\ncapabilities: ") != NULL;

	for (size_t i = 0; lines[i] && *lines[i] && (talked || i == 0); i++)
		printf("%s%s\n", prefix, lines[i]);
	return ok;
}

static void visit_print(const struct visit *visit, const struct account *account, bool ok)
{
	g_autoptr(GString) text = g_string_new(NULL);

	visit->ops->describe(visit->store, text);
	if (!print_description("", text->str, ok))
		return;
	if (account->protocol == ACCOUNT_POP3)
		print_lacks("", text->str, pop3_lacks, G_N_ELEMENTS(pop3_lacks));
	else
		print_lacks("", text->str, imap_lacks, G_N_ELEMENTS(imap_lacks));
}

static bool check_mailbox(const struct account *account, const struct credential *credential,
			  GError **error)
{
	struct visit visit = {
		.ops = account->protocol == ACCOUNT_POP3 ? &store_pop3 : &store_imap,
		.messages = UINT64_MAX,
	};
	const struct store_config config = {
		.account = account, .credential = credential, .role = "check"};
	bool ok;

	visit.store = visit.ops->open(&config, &sink, &visit, clock_mono_ms());
	ok = visit_go(&visit, visit_is_ready, error);
	/* What is known of the server also when it did not let us in. */
	visit_print(&visit, account, ok);
	ok = ok && visit_look(&visit, error);
	if (ok)
		printf("folders: %u\n", visit.folders);
	if (ok && visit.messages != UINT64_MAX)
		printf("messages in INBOX: %" G_GUINT64_FORMAT "\n", visit.messages);
	visit.ops->close(&visit.store);
	g_clear_error(&visit.error);
	return ok;
}

/* --- the server that sends --- */

static void submitter_poll_any(const void *what, struct pollfd *ret_poll, int64_t *ret_deadline_ms)
{
	submitter_poll(what, ret_poll, ret_deadline_ms);
}

static bool submitter_step_any(void *what, int64_t now_ms, GError **error)
{
	return submitter_step(what, now_ms, error);
}

static bool submitter_is_ready_any(const void *what)
{
	return submitter_is_ready(what);
}

static void submitter_print(const struct submitter *submitter, bool ok)
{
	g_autoptr(GString) text = g_string_new(NULL);

	submitter_describe(submitter, text);
	if (print_description("smtp ", text->str, ok))
		print_lacks("smtp ", text->str, smtp_lacks, G_N_ELEMENTS(smtp_lacks));
}

static bool check_submission(const struct account *account, const struct credential *credential,
			     GError **error)
{
	static const struct smtp_session_events events;
	const struct submitter_config config = {
		.account = account, .credential = credential, .events = &events};
	struct submitter *submitter = submitter_new(&config, clock_mono_ms());
	const struct trip trip = {submitter, submitter_poll_any, submitter_step_any,
				  submitter_is_ready_any};
	bool ok = trip_go(&trip, error);

	submitter_print(submitter, ok);
	submitter_free(&submitter);
	return ok;
}

/* --- an account --- */

/* The first failure counts. */
static void fail(const struct account *account, const char *prefix, const GError *error, int *code)
{
	fflush(stdout);
	log_error("%s: %s%s", account->alias ? account->alias : account->name, prefix,
		  error->message);
	if (*code == EX_OK)
		*code = error_exit_code(error);
}

typedef bool (*check_fn)(const struct account *account, const struct credential *credential,
			 GError **error);

/* With a token that is found anew, if the server refuses the first. */
static bool check_server(const struct account *account, struct credentials *credentials,
			 enum credentials_side side, GError **error)
{
	const check_fn check = side == CREDENTIALS_MAILBOX ? check_mailbox : check_submission;

	for (;;) {
		g_autoptr(GError) why = NULL;
		const struct credential *credential = NULL;

		if (!credentials_find(credentials, true, true, error) ||
		    credentials_begin(credentials, side, &credential, error) != CREDENTIALS_GO)
			return false;
		check(account, credential, &why);
		if (credentials_end(credentials, side, &credential, why))
			continue;
		if (why)
			g_propagate_error(error, g_error_copy(why));
		return !why;
	}
}

static int check_servers(const struct account *account, struct credentials *credentials)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) smtp_error = NULL;
	int code = EX_OK;

	if (!check_server(account, credentials, CREDENTIALS_MAILBOX, &error))
		fail(account, "", error, &code);
	if (account->smtp.host &&
	    !check_server(account, credentials, CREDENTIALS_SUBMISSION, &smtp_error))
		fail(account, "smtp: ", smtp_error, &code);
	return code;
}

static int check_account(const struct account *account)
{
	struct credentials *credentials = credentials_new(account);
	g_autoptr(GError) error = NULL;
	int code = EX_OK;

	if (account->alias)
		printf("account: %s (%s)\n", account->alias, account->name);
	else
		printf("account: %s\n", account->name);
	if (credentials_find(credentials, true, true, &error))
		code = check_servers(account, credentials);
	else
		fail(account, "", error, &code);
	credentials_free(&credentials);
	printf("result: %s\n", code == EX_OK ? "ok" : "failed");
	return code;
}

static int check_named(int argc, char **argv, const char *account)
{
	struct options options;
	g_autoptr(GError) error = NULL;
	int code;

	if (!options_parse_account(&options, argc, argv, account, NULL, &error)) {
		fflush(stdout);
		log_error("%s", error->message);
		return error_exit_code(error);
	}
	code = check_account(&options.account);
	options_clear(&options);
	return code;
}

int check_run(const struct options *options, int argc, char **argv)
{
	int first = EX_OK;

	if (options->debug)
		log_open("mailfs", LOG_LEVEL_DEBUG);
	if (!options->accounts)
		return check_account(&options->account);
	for (char **account = options->accounts; *account; account++) {
		int code = check_named(argc, argv, *account);

		if (account[1])
			putchar('\n');
		if (first == EX_OK)
			first = code;
	}
	return first;
}
