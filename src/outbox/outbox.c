#include "outbox/outbox_private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "outbox/address.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEMAND_MS 5000	      /* who waits may end a pause, but no more often than this */
#define DEMAND_LOGIN_MS 60000 /* the same of a server that lets nobody in */

/* --- the other threads' side --- */

static void wake(void *data)
{
	struct outbox *outbox = data;
	uint64_t one = 1;

	while (write(outbox->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

struct queue *outbox_queue(struct outbox *outbox)
{
	return outbox->queue;
}

void outbox_changed(struct outbox *outbox)
{
	wake(outbox);
}

void outbox_want(struct outbox *outbox, uint32_t id, int64_t until_ms)
{
	struct wanted wanted = {id, until_ms};

	pthread_mutex_lock(&outbox->lock);
	g_array_append_val(outbox->shared.wanted, wanted);
	pthread_mutex_unlock(&outbox->lock);
	wake(outbox);
}

static void set_flag(struct outbox *outbox, bool *flag)
{
	pthread_mutex_lock(&outbox->lock);
	*flag = true;
	pthread_mutex_unlock(&outbox->lock);
	wake(outbox);
}

void outbox_retry(struct outbox *outbox)
{
	set_flag(outbox, &outbox->shared.retry);
}

void outbox_online(struct outbox *outbox)
{
	set_flag(outbox, &outbox->shared.online);
}

uint64_t outbox_size_max(struct outbox *outbox)
{
	uint64_t max;

	pthread_mutex_lock(&outbox->lock);
	max = outbox->shared.size_max;
	pthread_mutex_unlock(&outbox->lock);
	return max;
}

static bool has_stopped(struct outbox *outbox)
{
	bool stop;

	pthread_mutex_lock(&outbox->lock);
	stop = outbox->shared.stop;
	pthread_mutex_unlock(&outbox->lock);
	return stop;
}

/* The errno that all waiting ones share; 0: nothing is in the way. */
static int pause_errno(struct outbox *outbox)
{
	int down;

	pthread_mutex_lock(&outbox->lock);
	down = clock_mono_ms() < outbox->shared.pause_ms ? outbox->shared.down : 0;
	pthread_mutex_unlock(&outbox->lock);
	return down;
}

/* What `file_is_settled` goes by. */
struct moment {
	int down; /* errno of a pause, 0: there is none */
	int64_t wall_ms;
};

static struct moment get_moment(struct outbox *outbox)
{
	return (struct moment){pause_errno(outbox), clock_wall_ns() / 1000000};
}

static bool file_is_settled(const struct moment *moment, const struct queue_file *file,
			    int *ret_error)
{
	*ret_error = 0;
	switch (file->step) {
	case QUEUE_FAILED:
		*ret_error = file->info.error ? file->info.error : EIO;
		return true;
	case QUEUE_SENDING:
		return false;
	case QUEUE_WAITING:
		break;
	default:
		return true;
	}
	*ret_error = moment->down != 0 ? moment->down : file->info.error;
	return moment->down != 0 || (!file->running && file->info.error != 0 &&
				     file->info.not_before_ms > moment->wall_ms);
}

struct survey {
	struct moment moment;
	int error; /* the last one's */
};

static bool survey_one(void *data, const struct queue_file *file)
{
	struct survey *survey = data;
	int error;

	if (!file_is_settled(&survey->moment, file, &error))
		return false;
	if (error != 0)
		survey->error = error;
	return true;
}

static bool all_are_settled(struct outbox *outbox, int *ret_error)
{
	struct survey survey = {.moment = get_moment(outbox)};
	bool settled = queue_pending_all(outbox->queue, survey_one, &survey);

	*ret_error = survey.error;
	return settled;
}

/* Who asked for this one knows. */
static void forget_untold(struct outbox *outbox, uint32_t id)
{
	pthread_mutex_lock(&outbox->lock);
	for (guint i = outbox->shared.untold->len; i > 0; i--) {
		if (g_array_index(outbox->shared.untold, uint32_t, i - 1) == id)
			g_array_remove_index(outbox->shared.untold, i - 1);
	}
	pthread_mutex_unlock(&outbox->lock);
}

bool outbox_is_settled(struct outbox *outbox, uint32_t id, int *ret_error)
{
	struct moment moment = get_moment(outbox);
	struct queue_file file;
	bool settled;

	if (id == 0)
		return all_are_settled(outbox, ret_error);
	if (!queue_get(outbox->queue, id, &file)) {
		*ret_error = 0;
		return true;
	}
	settled = file_is_settled(&moment, &file, ret_error);
	if (settled)
		forget_untold(outbox, id);
	queue_file_clear(&file);
	return settled;
}

void outbox_flush(struct outbox *outbox, int64_t timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	unsigned left;

	if (outbox->started) {
		set_flag(outbox, &outbox->shared.flush);
		pthread_mutex_lock(&outbox->lock);
		while (!outbox->shared.flushed &&
		       clock_cond_wait(&outbox->flushed, &outbox->lock, until_ms))
			;
		pthread_mutex_unlock(&outbox->lock);
	}
	left = queue_pending(outbox->queue);
	if (left > 0)
		log_warning("%s: %u messages in the outbox wait for the next mount",
			    outbox->config.account->name, left);
}

/* --- the thread --- */

bool outbox_hurries(struct outbox *outbox)
{
	bool hurry;

	pthread_mutex_lock(&outbox->lock);
	hurry = outbox->shared.flush;
	for (guint i = 0; i < outbox->shared.wanted->len; i++)
		hurry |= g_array_index(outbox->shared.wanted, struct wanted, i).id == 0;
	pthread_mutex_unlock(&outbox->lock);
	return hurry;
}

void outbox_note_failure(struct outbox *outbox, uint32_t id)
{
	pthread_mutex_lock(&outbox->lock);
	g_array_append_val(outbox->shared.untold, id);
	pthread_mutex_unlock(&outbox->lock);
}

static GArray *take_untold(struct outbox *outbox)
{
	GArray *untold;

	pthread_mutex_lock(&outbox->lock);
	untold = outbox->shared.untold;
	outbox->shared.untold = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	pthread_mutex_unlock(&outbox->lock);
	return untold;
}

/* The last one's errno, of those that are still there; 0: none failed. */
static int take_failure(struct outbox *outbox)
{
	g_autoptr(GArray) untold = take_untold(outbox);
	struct moment moment = get_moment(outbox);
	int error = 0;

	for (guint i = 0; i < untold->len; i++) {
		struct queue_file file;

		if (!queue_get(outbox->queue, g_array_index(untold, uint32_t, i), &file))
			continue;
		if (file.step == QUEUE_FAILED)
			file_is_settled(&moment, &file, &error);
		queue_file_clear(&file);
	}
	return error;
}

/* Somebody waits: a long pause is cut short, but the server is not hammered. */
static void cut_pause(struct outbox *outbox)
{
	int64_t demand_ms;

	if (outbox->config.account->offline)
		return;
	pthread_mutex_lock(&outbox->lock);
	demand_ms = outbox->shared.down == EACCES ? DEMAND_LOGIN_MS : DEMAND_MS;
	/* A refused login is tried again when somebody says so. */
	if (outbox->shared.pause_ms != INT64_MAX)
		outbox->shared.pause_ms =
			MIN(outbox->shared.pause_ms, outbox->attempt_ms + demand_ms);
	pthread_mutex_unlock(&outbox->lock);
}

static void take_requests(struct outbox *outbox)
{
	bool retry, online, wanted;

	pthread_mutex_lock(&outbox->lock);
	retry = outbox->shared.retry;
	online = outbox->shared.online;
	wanted = outbox->shared.wanted->len > 0;
	outbox->shared.retry = outbox->shared.online = false;
	/* Each time: it may have been handed over just now. */
	for (guint i = 0; i < outbox->shared.wanted->len; i++)
		queue_hurry(outbox->queue,
			    g_array_index(outbox->shared.wanted, struct wanted, i).id);
	pthread_mutex_unlock(&outbox->lock);
	if (retry)
		queue_retry(outbox->queue);
	if (retry || (online && pause_errno(outbox) != EACCES))
		outbox_end_pause(outbox);
	else if (wanted)
		cut_pause(outbox);
}

static bool wanted_is_settled(struct outbox *outbox, const struct wanted *wanted, int *ret_error)
{
	if (outbox->now_ms < wanted->until_ms && queue_closing(outbox->queue) > 0)
		return false;
	if (!outbox_is_settled(outbox, wanted->id, ret_error))
		return false;
	if (wanted->id == 0 && *ret_error == 0)
		*ret_error = take_failure(outbox);
	if (wanted->id == 0 && *ret_error == 0 && outbox->unhanded > 0)
		*ret_error = EIO;
	return true;
}

/* `stopping`: nothing will be found out any more. */
static void settle_wanted(struct outbox *outbox, bool stopping)
{
	GArray *wanted, *left = g_array_new(FALSE, FALSE, sizeof(struct wanted));

	pthread_mutex_lock(&outbox->lock);
	wanted = outbox->shared.wanted;
	outbox->shared.wanted = g_array_new(FALSE, FALSE, sizeof(struct wanted));
	pthread_mutex_unlock(&outbox->lock);
	for (guint i = 0; i < wanted->len; i++) {
		const struct wanted *one = &g_array_index(wanted, struct wanted, i);
		int error = ECONNABORTED;

		if (stopping || wanted_is_settled(outbox, one, &error))
			outbox->events->settled(outbox->data, one->id, error);
		else
			g_array_append_val(left, *one);
	}
	pthread_mutex_lock(&outbox->lock);
	g_array_append_vals(outbox->shared.wanted, left->data, left->len);
	pthread_mutex_unlock(&outbox->lock);
	g_array_unref(left);
	g_array_unref(wanted);
}

/* Its end may pass without any other event. */
static int64_t wanted_deadline_ms(struct outbox *outbox)
{
	int64_t deadline = INT64_MAX;

	pthread_mutex_lock(&outbox->lock);
	for (guint i = 0; i < outbox->shared.wanted->len; i++) {
		int64_t until_ms = g_array_index(outbox->shared.wanted, struct wanted, i).until_ms;

		if (until_ms > outbox->now_ms)
			deadline = MIN(deadline, until_ms);
	}
	pthread_mutex_unlock(&outbox->lock);
	return deadline;
}

static bool is_flushing(struct outbox *outbox)
{
	bool flush;

	pthread_mutex_lock(&outbox->lock);
	flush = outbox->shared.flush;
	pthread_mutex_unlock(&outbox->lock);
	return flush;
}

static void tell_flushed(struct outbox *outbox)
{
	int error;

	if (!is_flushing(outbox) || outbox->delivering || outbox_has_copies(outbox) ||
	    !all_are_settled(outbox, &error))
		return;
	pthread_mutex_lock(&outbox->lock);
	outbox->shared.flushed = true;
	pthread_cond_broadcast(&outbox->flushed);
	pthread_mutex_unlock(&outbox->lock);
}

static void read_clock(struct outbox *outbox)
{
	outbox->now_ms = clock_mono_ms();
	outbox->wall_ms = clock_wall_ns() / 1000000;
}

static void wait_and_step(struct outbox *outbox, int64_t deadline_ms)
{
	struct pollfd fds[2] = {{.fd = outbox->wake_fd, .events = POLLIN}, {.fd = -1}};
	int64_t submitter_ms = INT64_MAX;
	uint64_t count;

	if (outbox->submitter)
		submitter_poll(outbox->submitter, &fds[1], &submitter_ms);
	deadline_ms = MIN(deadline_ms, submitter_ms);
	poll(fds, 2,
	     deadline_ms == INT64_MAX ? -1
				      : (int)CLAMP(deadline_ms - outbox->now_ms, 0, 3600 * 1000));
	read_clock(outbox);
	if (fds[0].revents && read(outbox->wake_fd, &count, sizeof(count)) < 0)
		count = 0; /* EAGAIN: it was taken already */
	if (outbox->submitter && (fds[1].revents || outbox->now_ms >= submitter_ms)) {
		g_autoptr(GError) error = NULL;

		if (!submitter_step(outbox->submitter, outbox->now_ms, &error))
			outbox_lost(outbox, error);
	}
}

static void *run(void *data)
{
	struct outbox *outbox = data;
	int64_t next_ms;

	read_clock(outbox);
	while (!has_stopped(outbox)) {
		take_requests(outbox);
		next_ms = outbox_send(outbox);
		next_ms = MIN(next_ms, outbox_file_copies(outbox));
		settle_wanted(outbox, false);
		tell_flushed(outbox);
		wait_and_step(outbox, MIN(next_ms, wanted_deadline_ms(outbox)));
	}
	outbox_hang_up(outbox);
	settle_wanted(outbox, true);
	return NULL;
}

/* --- life --- */

/* "alice@example.org" as a login, or what comes nearest; NULL: a login may be anything. */
static char *default_from(const struct account *account)
{
	g_autofree char *here = g_strdup_printf("%s@%s", account->user, account->host);
	const char *const nearest[] = {submission_user(account), account->user, here};

	for (size_t i = 0; i < G_N_ELEMENTS(nearest); i++) {
		if (address_check(nearest[i], NULL))
			return g_strdup(nearest[i]);
	}
	return NULL;
}

static bool check_from(const char *from, GError **error)
{
	if (!from || address_check(from, error))
		return true;
	g_prefix_error(error, "option from: ");
	return false;
}

static void pause_for_ever(struct outbox *outbox)
{
	outbox->shared.pause_ms = INT64_MAX;
	outbox->shared.down = EHOSTUNREACH;
	outbox->shared.why = g_strdup("offline, as asked for");
}

struct outbox *outbox_new(const struct outbox_config *config, const struct outbox_events *events,
			  void *data, GError **error)
{
	const struct account *account = config->account;
	struct outbox *outbox;
	struct queue *queue;

	if (!check_from(account->smtp.from, error))
		return NULL;
	queue = queue_open(config->dir, account->smtp.send_delay_s * INT64_C(1000), error);
	if (!queue)
		return NULL;
	outbox = g_new0(struct outbox, 1);
	outbox->config = *config;
	outbox->events = events;
	outbox->data = data;
	outbox->queue = queue;
	outbox->from = account->smtp.from ? g_strdup(account->smtp.from) : default_from(account);
	outbox->delivery.fd = -1;
	outbox->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	outbox->shared.wanted = g_array_new(FALSE, FALSE, sizeof(struct wanted));
	outbox->shared.untold = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	outbox->shared.size_max = UINT64_MAX;
	pthread_mutex_init(&outbox->lock, NULL);
	clock_cond_init(&outbox->flushed);
	credentials_watch(config->credentials, CREDENTIALS_SUBMISSION, wake, outbox);
	if (account->offline)
		pause_for_ever(outbox);
	return outbox;
}

void outbox_start(struct outbox *outbox)
{
	outbox->started = pthread_create(&outbox->thread, NULL, run, outbox) == 0;
	if (!outbox->started)
		g_error("cannot start a thread");
}

void outbox_stop(struct outbox *outbox)
{
	if (!outbox->started)
		return;
	set_flag(outbox, &outbox->shared.stop);
	pthread_join(outbox->thread, NULL);
	outbox->started = false;
}

void outbox_free(struct outbox **ret_outbox)
{
	struct outbox *outbox = *ret_outbox;

	if (!outbox)
		return;
	outbox_stop(outbox);
	credentials_watch(outbox->config.credentials, CREDENTIALS_SUBMISSION, NULL, NULL);
	queue_close(&outbox->queue);
	g_array_unref(outbox->shared.wanted);
	g_array_unref(outbox->shared.untold);
	g_free(outbox->shared.why);
	g_free(outbox->from);
	close(outbox->wake_fd);
	pthread_cond_destroy(&outbox->flushed);
	pthread_mutex_destroy(&outbox->lock);
	g_clear_pointer(ret_outbox, g_free);
}
