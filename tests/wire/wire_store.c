#include "wire_store.h"

#include "base/file.h"
#include "base/number.h"
#include "cache/uidls.h"
#include "config/credentials.h"
#include "store/pop3/pop3_header.h"
#include "wire_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Makes the tags "wire1", "wire2"... */
#define TAG_SEED 563234
#define CONNECT_MS 10000

struct subject {
	struct wire_play *play;
	const struct store_ops *ops;
	char *dir; /* of the index; both NULL where there is none */
	struct index *index;
	struct account account;
	struct secret *secret;
	struct credential credential;
	struct store *store; /* NULL after its end */
	int listener;
	int peer;      /* the server's end */
	GString *sent; /* and not taken yet */
	int64_t now_ms;
	int64_t rest_ms;   /* that the last session asked for */
	unsigned numbered; /* jobs */
	struct wire_facts facts;
};

/* --- the connection --- */

static int store_fd(const struct subject *subject)
{
	struct pollfd poll_fd;
	int64_t deadline_ms;

	subject->ops->poll(subject->store, &poll_fd, &deadline_ms);
	return poll_fd.fd;
}

/* As the engine does after a step that failed, or was the last. */
static void bury(struct subject *subject, const GError *error)
{
	g_autofree char *text = error ? wire_facts_error(&subject->facts, error) : NULL;

	if (text)
		wire_facts_add(&subject->facts, "dead %s", text);
	else
		wire_facts_add(&subject->facts, "left");
	if (subject->index)
		subject->rest_ms = subject->ops->rest_ms(subject->store);
	subject->ops->close(&subject->store);
}

static void step(struct subject *subject)
{
	g_autoptr(GError) error = NULL;

	if (subject->store && !subject->ops->step(subject->store, subject->now_ms, &error))
		bury(subject, error);
}

static void listen_on_loopback(struct subject *subject)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		wire_fail(subject->play, "cannot listen: %s", g_strerror(errno));
	subject->listener = fd;
	subject->account.port = ntohs(address.sin_port);
	subject->facts.server = g_strdup_printf("127.0.0.1:%u", subject->account.port);
}

static bool is_connected(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	return fd >= 0 && getpeername(fd, (struct sockaddr *)&address, &len) == 0;
}

static void wait_for_connection(struct subject *subject)
{
	struct pollfd poll_fd;
	int64_t deadline_ms;

	step(subject);
	if (!subject->store)
		wire_fail(subject->play, "cannot connect");
	subject->ops->poll(subject->store, &poll_fd, &deadline_ms);
	if (!is_connected(poll_fd.fd) && poll(&poll_fd, 1, CONNECT_MS) != 1)
		wire_fail(subject->play, "no connection");
}

/* Bytes of TCP arrive when they like, even on loopback; those of a socket pair are there at once.
 * So the store connects, and then finds the pair behind its descriptor. */
static void connect_pair(struct subject *subject)
{
	int pair[2];

	while (!is_connected(store_fd(subject)))
		wait_for_connection(subject);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    dup3(pair[0], store_fd(subject), O_CLOEXEC) < 0)
		wire_fail(subject->play, "no socket pair: %s", g_strerror(errno));
	close(pair[0]);
	subject->peer = pair[1];
}

static void open_store(struct subject *subject)
{
	subject->store =
		subject->ops->open(&(struct store_config){.account = &subject->account,
							  .credential = &subject->credential,
							  .role = "test",
							  .index = subject->index},
				   &wire_facts_sink, &subject->facts, subject->now_ms);
	connect_pair(subject);
}

/* Until all is read. */
static void pump(struct subject *subject)
{
	int before = 0;
	int unread = 0;

	do {
		before = unread;
		step(subject);
		if (!subject->store)
			return;
		if (ioctl(store_fd(subject), FIONREAD, &unread) < 0)
			wire_fail(subject->play, "FIONREAD: %s", g_strerror(errno));
		if (unread > 0 && unread == before)
			wire_fail(subject->play, "the store does not read");
	} while (unread > 0);
}

/* --- the driver's part --- */

static struct subject *subject_new(struct wire_play *play, const struct store_ops *ops)
{
	struct subject *subject = g_new0(struct subject, 1);

	g_random_set_seed(TAG_SEED);
	subject->play = play;
	subject->ops = ops;
	subject->sent = g_string_new(NULL);
	subject->secret = secret_new("sesame", 6);
	subject->credential.password = subject->secret;
	subject->account = (struct account){.name = g_strdup("alice@test"),
					    .user = g_strdup("alice"),
					    .host = g_strdup("127.0.0.1"),
					    .tls = TLS_OFF,
					    .timeout_s = 30};
	wire_facts_init(&subject->facts, play);
	listen_on_loopback(subject);
	return subject;
}

static void *subject_open(struct wire_play *play)
{
	struct subject *subject = subject_new(play, &store_imap);

	open_store(subject);
	return subject;
}

/* The UIDVALIDITY is told as 1. */
static void index_make(struct subject *subject)
{
	g_autoptr(GError) error = NULL;

	subject->dir = g_dir_make_tmp("mailfs-wire-XXXXXX", &error);
	if (subject->dir)
		subject->index = index_open(subject->dir, "alice@test", &error);
	if (!subject->index)
		wire_fail(subject->play, "no index: %s", error->message);
	subject->facts.validity = uidls_validity(subject->index);
}

static void *subject_open_pop3(struct wire_play *play)
{
	struct subject *subject = subject_new(play, &store_pop3);

	index_make(subject);
	open_store(subject);
	return subject;
}

static void subject_close(void *data)
{
	struct subject *subject = data;

	subject->ops->close(&subject->store);
	close(subject->peer);
	close(subject->listener);
	index_close(&subject->index);
	if (subject->dir)
		file_remove_tree(subject->dir, NULL);
	g_free(subject->dir);
	wire_facts_clear(&subject->facts);
	account_clear(&subject->account);
	secret_free(&subject->secret);
	g_string_free(subject->sent, TRUE);
	g_free(subject);
}

static void subject_feed(void *data, const uint8_t *bytes, size_t len)
{
	struct subject *subject = data;

	while (len > 0 && subject->store) {
		ssize_t n = send(subject->peer, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			wire_fail(subject->play, "cannot send: %s", g_strerror(errno));
		bytes += n;
		len -= (size_t)n;
		pump(subject);
	}
}

static const uint8_t *subject_sent(void *data, size_t *ret_len)
{
	struct subject *subject = data;
	char bytes[4096];
	ssize_t n;

	do {
		step(subject);
		n = recv(subject->peer, bytes, sizeof(bytes), 0);
		if (n > 0)
			g_string_append_len(subject->sent, bytes, n);
	} while (n > 0);
	*ret_len = subject->sent->len;
	return (const uint8_t *)subject->sent->str;
}

static void subject_take(void *data, size_t len)
{
	struct subject *subject = data;

	g_string_erase(subject->sent, 0, (gssize)len);
}

/* --- jobs --- */

/* A word, quoted or not; NULL at the end. Free with g_free(). */
static char *next_word(struct subject *subject, const char **text)
{
	g_autoptr(GString) word = g_string_new(NULL);
	const char *at = *text + strspn(*text, " ");
	size_t len = strcspn(at, " ");

	if (*at == '\0')
		return NULL;
	if (*at != '"') {
		*text = at + len;
		return g_strndup(at, len);
	}
	*text = wire_unescape(at + 1, true, word);
	if (!*text)
		wire_fail(subject->play, "no such string: %s", at);
	return g_strdup(word->str);
}

static char *next_name(struct subject *subject, const char **text)
{
	char *name = next_word(subject, text);

	if (!name)
		wire_fail(subject->play, "of which folder?");
	return name;
}

static void job_folder(struct subject *subject, struct store_job *job, const char **text)
{
	job->name = next_name(subject, text);
	job->folder = wire_facts_folder(&subject->facts, job->name);
}

static void job_folders(struct subject *subject, struct store_job *job, const char **text)
{
	char *name;

	job->names = g_ptr_array_new_with_free_func(g_free);
	job->folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	while ((name = next_word(subject, text))) {
		uint32_t folder = wire_facts_folder(&subject->facts, name);

		g_ptr_array_add(job->names, name);
		g_array_append_val(job->folders, folder);
	}
}

/* "5=20": UID and size of one of a batch. */
static bool job_item(struct store_job *job, const char *uid, uint64_t size)
{
	struct store_item item = {.size_hint = size};

	if (!number_parse_u32(uid, strlen(uid), &item.uid))
		return false;
	if (!job->batch)
		job->batch = g_array_new(FALSE, FALSE, sizeof(item));
	g_array_append_val(job->batch, item);
	return true;
}

static bool job_number(struct store_job *job, const char *name, uint64_t value, uint64_t validity)
{
	if (g_str_equal(name, "uidvalidity"))
		job->known.uidvalidity = value == 1 && validity ? validity : value;
	else if (g_str_equal(name, "uidnext"))
		job->known.uidnext = (uint32_t)value;
	else if (g_str_equal(name, "modseq"))
		job->known.modseq = value;
	else if (g_str_equal(name, "uid"))
		job->uid = (uint32_t)value;
	else if (g_str_equal(name, "hint"))
		job->size_hint = value;
	else if (g_str_equal(name, "origin"))
		job->origin = value;
	else if (g_str_equal(name, "window"))
		job->window = value;
	else if (g_str_equal(name, "more"))
		job->more = value;
	else if (g_str_equal(name, "date"))
		job->date_s = (int64_t)value;
	else if (g_str_equal(name, "len"))
		job->len = value;
	else
		return job_item(job, name, value);
	return true;
}

/* "\\Seen,$Junk" */
static void job_flags(const char *text, unsigned *ret_flags, char **ret_words)
{
	static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
					    "\\Draft"};
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	g_autoptr(GString) keywords = g_string_new(NULL);

	for (char **word = words; *word; word++) {
		unsigned i = 0;

		while (i < G_N_ELEMENTS(names) && !g_str_equal(names[i], *word))
			i++;
		if (i < G_N_ELEMENTS(names))
			*ret_flags |= 1u << i;
		else
			g_string_append_printf(keywords, "%s ", *word);
	}
	g_free(*ret_words);
	*ret_words = g_string_free(g_steal_pointer(&keywords), FALSE);
}

/* "1000*20:3": so many UIDs from 20 on, every third. */
static bool job_uids(struct store_job *job, const char *text)
{
	g_auto(GStrv) words = g_strsplit_set(text, "*:", 3);
	uint32_t count, first, step;

	if (!strchr(text, '*'))
		return seqset_parse(&job->uids, text, strlen(text));
	if (g_strv_length(words) != 3 || !number_parse_u32(words[0], strlen(words[0]), &count) ||
	    !number_parse_u32(words[1], strlen(words[1]), &first) ||
	    !number_parse_u32(words[2], strlen(words[2]), &step))
		return false;
	for (unsigned i = 0; i < count; i++)
		seqset_add(&job->uids, first + i * step, first + i * step);
	return true;
}

/* False if it is none of those that are no numbers. */
static bool job_text(struct subject *subject, struct store_job *job, const char *word)
{
	if (g_str_has_prefix(word, "uids=")) {
		if (!job_uids(job, word + strlen("uids=")))
			wire_fail(subject->play, "no such UIDs: %s", word);
	} else if (g_str_has_prefix(word, "set=")) {
		job_flags(word + strlen("set="), &job->set, &job->set_words);
	} else if (g_str_has_prefix(word, "clear=")) {
		job_flags(word + strlen("clear="), &job->clear, &job->clear_words);
	} else if (g_str_has_prefix(word, "separator=")) {
		job->separator = word[strlen("separator=")];
	} else {
		return false;
	}
	return true;
}

/* What is appended, in a file. */
static void job_message(struct subject *subject, struct store_job *job, const char *bytes)
{
	size_t len = strlen(bytes);

	job->fd = memfd_create("message", MFD_CLOEXEC);
	if (job->fd < 0 || write(job->fd, bytes, len) != (ssize_t)len)
		wire_fail(subject->play, "no file: %s", g_strerror(errno));
	job->len = len;
}

static void job_option(struct subject *subject, struct store_job *job, char *word)
{
	char *sign = strchr(word, '=');
	uint64_t value;

	if (g_str_equal(word, "verify")) {
		job->known.verify = true;
		return;
	}
	if (g_str_equal(word, "flags")) {
		job->known.flags = true;
		return;
	}
	if (g_str_equal(word, "counts")) {
		job->counts = true;
		return;
	}
	if (job_text(subject, job, word))
		return;
	if (!sign || !number_parse_u64(sign + 1, strlen(sign + 1), &value))
		wire_fail(subject->play, "no such option: %s", word);
	*sign = '\0';
	if (!job_number(job, word, value, subject->facts.validity))
		wire_fail(subject->play, "no such option: %s", word);
}

static void job_options(struct subject *subject, struct store_job *job, const char **text)
{
	char *word;

	while ((word = next_word(subject, text))) {
		if (g_str_equal(word, "to")) {
			job->target = next_name(subject, text);
		} else if (g_str_equal(word, "body")) {
			g_autofree char *bytes = next_name(subject, text);

			job_message(subject, job, bytes);
		} else {
			job_option(subject, job, word);
		}
		g_free(word);
	}
}

/* One folder, or several in brackets. */
static void job_watch(struct subject *subject, struct store_job *job, const char **text)
{
	if (g_str_has_prefix(*text, " ("))
		*text += 2;
	else
		job_folder(subject, job, text);
	if (!job->name)
		job_folders(subject, job, text);
}

/* NULL if `text` is no job. */
static struct store_job *job_parse(struct subject *subject, const char *text)
{
	static const char *const names[] = {
		[STORE_LIST] = "list",	   [STORE_STATUS] = "status", [STORE_REFRESH] = "refresh",
		[STORE_BODY] = "body",	   [STORE_PROBE] = "probe",   [STORE_MEASURE] = "measure",
		[STORE_RIGHTS] = "rights", [STORE_FLAGS] = "flags",   [STORE_EXPUNGE] = "expunge",
		[STORE_MOVE] = "move",	   [STORE_COPY] = "copy",     [STORE_FIND] = "find",
		[STORE_APPEND] = "append", [STORE_MARK] = "mark",     [STORE_CREATE] = "create",
		[STORE_DELETE] = "delete", [STORE_RENAME] = "rename", [STORE_WATCH] = "watch",
		[STORE_LEAVE] = "leave",
	};
	g_autofree char *word = next_word(subject, &text);
	unsigned kind = 0;
	struct store_job *job;

	while (kind < G_N_ELEMENTS(names) && g_strcmp0(names[kind], word) != 0)
		kind++;
	if (kind == G_N_ELEMENTS(names))
		return NULL;
	job = store_job_new((enum store_job_kind)kind);
	if (kind == STORE_STATUS)
		job_folders(subject, job, &text);
	else if (kind == STORE_WATCH)
		job_watch(subject, job, &text);
	else if (kind != STORE_LIST && kind != STORE_PROBE)
		job_folder(subject, job, &text);
	job_options(subject, job, &text);
	return job;
}

static void not_accepted(struct subject *subject, const char *text)
{
	struct store_job *job = job_parse(subject, text);

	if (!job)
		wire_fail(subject->play, "no such job: %s", text);
	if (subject->ops->accepts(subject->store, job))
		wire_fail(subject->play, "accepted: %s", text);
	store_job_free(&job);
}

static void submit(struct subject *subject, struct store_job *job)
{
	if (!subject->store || !subject->ops->accepts(subject->store, job))
		wire_fail(subject->play, "not accepted");
	job->epoch = ++subject->numbered;
	subject->facts.jobs++;
	subject->ops->submit(subject->store, job, subject->now_ms);
	step(subject);
}

/* --- directives --- */

/* As they could stand in the transcript. */
static void fail_with_facts(struct subject *subject, const char *what)
{
	for (const GList *link = subject->facts.lines.head; link; link = link->next)
		g_printerr("! expect %s\n", (const char *)link->data);
	wire_fail(subject->play, "got the above, but not: %s", what);
}

/* "abilities change,move append=90" */
static void expect_abilities(struct subject *subject, const char *expected)
{
	uint64_t append_max;
	unsigned abilities = subject->ops->abilities(subject->store, &append_max);
	g_autofree char *got =
		g_strdup_printf("abilities %s%s%s%s%s%s append=%" G_GUINT64_FORMAT,
				abilities & STORE_CAN_CHANGE ? "change" : "",
				abilities & STORE_CAN_MOVE ? ",move" : "",
				abilities & STORE_CAN_EXPUNGE ? ",expunge" : "",
				abilities & STORE_CAN_REMOVE ? "remove" : "",
				abilities & STORE_CAN_WATCH ? ",watch" : "",
				abilities & STORE_CAN_WATCH_MANY ? ",many" : "", append_max);

	if (!g_str_equal(got, expected))
		wire_fail(subject->play, "expected: %s\ngot:      %s", expected, got);
}

/* "came 5": so much of the body that came last may be read. */
static void expect_came(struct subject *subject, const char *expected)
{
	g_autofree char *got = g_strdup_printf("came %" G_GUINT64_FORMAT, subject->facts.came);

	if (!g_str_equal(got, expected))
		wire_fail(subject->play, "expected: %s\ngot:      %s", expected, got);
}

static void expect(struct subject *subject, const char *expected)
{
	bool ready = subject->store && subject->ops->ready(subject->store);

	if (g_str_equal(expected, "ready") || g_str_equal(expected, "not ready")) {
		if (ready != g_str_equal(expected, "ready"))
			wire_fail(subject->play, "the store is%s ready", ready ? "" : " not");
		return;
	}
	if (g_str_has_prefix(expected, "abilities ")) {
		expect_abilities(subject, expected);
		return;
	}
	if (g_str_has_prefix(expected, "came ")) {
		expect_came(subject, expected);
		return;
	}
	wire_facts_flush(&subject->facts);
	if (g_strcmp0(g_queue_peek_head(&subject->facts.lines), expected) != 0)
		fail_with_facts(subject, expected);
	g_free(g_queue_pop_head(&subject->facts.lines));
}

static void pass_time(struct subject *subject, const char *text)
{
	uint64_t ms;

	if (*text != '+' || !number_parse_u64(text + 1, strlen(text + 1), &ms))
		wire_fail(subject->play, "no such time: %s", text);
	subject->now_ms += (int64_t)ms;
	step(subject);
}

/* The disk is full. */
static void refuse_fact(struct subject *subject, const char *what)
{
	if (g_str_equal(what, "begin"))
		subject->facts.refuse = WIRE_REFUSE_BEGIN;
	else if (g_str_equal(what, "data"))
		subject->facts.refuse = WIRE_REFUSE_DATA;
	else if (g_str_equal(what, "end"))
		subject->facts.refuse = WIRE_REFUSE_END;
	else
		wire_fail(subject->play, "cannot refuse: %s", what);
}

/* --- of a maildrop --- */

/* "known UIDL SIZE HEADER": on record from an earlier session. */
static void remember(struct subject *subject, const char *text)
{
	g_autofree char *uidl = next_name(subject, &text);
	g_autofree char *size = next_name(subject, &text);
	g_autofree char *header = next_word(subject, &text);
	struct pop3_header read = {0};
	uint64_t bytes = UINT64_MAX;

	if (header)
		pop3_header_read(&read, header, strlen(header));
	if (!g_str_equal(size, "-") && !number_parse_u64(size, strlen(size), &bytes))
		wire_fail(subject->play, "no such size: %s", size);
	uidls_add(subject->index, uidl, bytes, read.hash ? read.hash : "");
	pop3_header_clear(&read);
}

/* "uidls 1=a 2=b": what is on record. */
static void expect_uidls(struct subject *subject, const char *expected)
{
	g_autoptr(GPtrArray) rows = uidls_all(subject->index);
	g_autoptr(GString) got = g_string_new("uidls");

	for (unsigned i = 0; i < rows->len; i++) {
		const struct uidl_row *row = g_ptr_array_index(rows, i);

		g_string_append_printf(got, " %u=%s", row->number, row->uidl);
		if (row->size == UINT64_MAX)
			g_string_append(got, "/-");
		else
			g_string_append_printf(got, "/%" G_GUINT64_FORMAT, row->size);
		g_string_append(got, *row->hash ? "/h" : "");
	}
	if (!g_str_equal(got->str, expected))
		wire_fail(subject->play, "expected: %s\ngot:      %s", expected, got->str);
}

static void expect_rest(struct subject *subject, const char *expected)
{
	g_autofree char *got = g_strdup_printf("rest %" G_GINT64_FORMAT, subject->rest_ms);

	if (!g_str_equal(got, expected))
		wire_fail(subject->play, "expected: %s\ngot:      %s", expected, got);
}

/* "lose 1": from what is on record. */
static void lose(struct subject *subject, const char *text)
{
	uint32_t number;

	if (!number_parse_u32(text, strlen(text), &number))
		wire_fail(subject->play, "no such number: %s", text);
	uidls_forget(subject->index, number);
}

/* Another session, with what is on record. */
static void connect_again(struct subject *subject)
{
	g_autoptr(GError) error = NULL;

	if (!index_commit(subject->index, &error))
		wire_fail(subject->play, "%s", error->message);
	subject->ops->close(&subject->store);
	close(subject->peer);
	g_string_truncate(subject->sent, 0);
	open_store(subject);
}

/* The store itself does, behind a "hangup". */
static void accept_again(struct subject *subject)
{
	close(subject->peer);
	connect_pair(subject);
}

/* The handshake begins; it is not gone on with. */
static void expect_tls(struct subject *subject)
{
	static const uint8_t handshake[] = {0x16, 0x03};
	size_t len;
	const uint8_t *sent = subject_sent(subject, &len);

	if (len < sizeof(handshake) || memcmp(sent, handshake, sizeof(handshake)) != 0)
		wire_fail(subject->play, "no TLS: %zu bytes", len);
	subject_take(subject, len);
}

static bool directive_of_maildrop(struct subject *subject, const char *text)
{
	if (!subject->index)
		return false;
	if (g_str_equal(text, "starttls")) {
		subject->account.tls = TLS_STARTTLS;
		connect_again(subject);
	} else if (g_str_has_prefix(text, "known "))
		remember(subject, text + strlen("known "));
	else if (g_str_has_prefix(text, "lose "))
		lose(subject, text + strlen("lose "));
	else if (g_str_equal(text, "finish"))
		subject->ops->finish(subject->store);
	else if (g_str_equal(text, "connect"))
		connect_again(subject);
	else if (g_str_equal(text, "reconnected"))
		accept_again(subject);
	else if (g_str_equal(text, "expect tls"))
		expect_tls(subject);
	else if (g_str_has_prefix(text, "expect uidls"))
		expect_uidls(subject, text + strlen("expect "));
	else if (g_str_has_prefix(text, "expect rest "))
		expect_rest(subject, text + strlen("expect "));
	else
		return false;
	return true;
}

static void hang_up(struct subject *subject)
{
	shutdown(subject->peer, SHUT_WR);
	step(subject);
}

static void subject_directive(void *data, const char *text)
{
	struct subject *subject = data;
	struct store_job *job;

	if (directive_of_maildrop(subject, text))
		step(subject);
	else if (g_str_has_prefix(text, "expect "))
		expect(subject, text + strlen("expect "));
	else if (g_str_has_prefix(text, "not "))
		not_accepted(subject, text + strlen("not "));
	else if (g_str_has_prefix(text, "clock "))
		pass_time(subject, text + strlen("clock "));
	else if (g_str_has_prefix(text, "refuse "))
		refuse_fact(subject, text + strlen("refuse "));
	else if (g_str_equal(text, "hangup"))
		hang_up(subject);
	else if (g_str_equal(text, "close"))
		subject->ops->close(&subject->store);
	else if ((job = job_parse(subject, text)))
		submit(subject, job);
	else
		wire_fail(subject->play, "no such directive: %s", text);
}

static void subject_finish(void *data)
{
	struct subject *subject = data;

	wire_facts_flush(&subject->facts);
	if (subject->facts.lines.head)
		fail_with_facts(subject, "the end");
	if (subject->facts.jobs > 0)
		wire_fail(subject->play, "%u jobs did not come back", subject->facts.jobs);
}

const struct wire_driver wire_store = {
	.open = subject_open,
	.close = subject_close,
	.feed = subject_feed,
	.sent = subject_sent,
	.take = subject_take,
	.directive = subject_directive,
	.finish = subject_finish,
};

const struct wire_driver wire_pop3_store = {
	.open = subject_open_pop3,
	.close = subject_close,
	.feed = subject_feed,
	.sent = subject_sent,
	.take = subject_take,
	.directive = subject_directive,
	.finish = subject_finish,
};
