#include "fuse/replay.h"
#include "fuse/private.h"
#include "fuse/replay_helper.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACTS_MAX 100 /* that wait */
/* Who unmounts while the process is at work hears EBUSY: it rests this long at least between two
 * acts, and so many times as long as one took. */
#define REST_MS 10
#define REST_TIMES 9
#define REST_MAX_MS 1000
#define FOLDERS_MAX 1000 /* that wait to be told themselves */

enum replay_state {
	REPLAY_IDLE, /* the process has not been heard yet */
	REPLAY_ON,
	REPLAY_OFF,
};

struct act {
	enum replay_kind kind;
	uint64_t parent; /* 0: the folder itself */
	char *dir;
	char *name;
};

struct replay {
	_Atomic(pid_t) pid; /* ours until replay_free() */
	int command_fd, answer_fd;
	int stop_fd; /* eventfd */
	pthread_t thread;
	bool threaded;
	char *mountpoint;
	uint64_t device;
	char proof[REPLAY_PROOF_SIZE];

	/* the thread's */
	int64_t next_ms; /* when the next act may begin */

	pthread_mutex_t mutex; /* over the rest */
	pthread_cond_t wake;
	enum replay_state state;
	bool stopping;
	GQueue acts;	     /* of struct act */
	GHashTable *folders; /* set of paths */
	struct act *current; /* what the process is doing */
};

static void act_free(void *data)
{
	struct act *act = data;

	g_free(act->dir);
	g_free(act->name);
	g_free(act);
}

/* --- the process --- */

static bool start_process(struct replay *replay)
{
	int commands[2] = {-1, -1}, answers[2] = {-1, -1};
	pid_t pid = -1;

	if (pipe2(commands, O_CLOEXEC) == 0 && pipe2(answers, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		replay_helper_run(commands[0], answers[1]);
	if (commands[0] >= 0)
		close(commands[0]);
	if (answers[1] >= 0)
		close(answers[1]);
	replay->pid = pid;
	replay->command_fd = commands[1];
	replay->answer_fd = answers[0];
	return pid > 0;
}

struct replay *replay_new(GError **error)
{
	struct replay *replay = g_new0(struct replay, 1);
	bool started = start_process(replay);

	replay->stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&replay->mutex, NULL);
	pthread_cond_init(&replay->wake, NULL);
	g_queue_init(&replay->acts);
	replay->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (started && replay->stop_fd >= 0)
		return replay;
	g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "cannot start a process: %s",
		    g_strerror(errno));
	replay_free(&replay);
	return NULL;
}

static enum replay_verb verb_of(enum replay_kind kind)
{
	static const enum replay_verb verbs[] = {
		[REPLAY_CREATE] = REPLAY_VERB_MKNOD, [REPLAY_DELETE] = REPLAY_VERB_UNLINK,
		[REPLAY_ATTRIB] = REPLAY_VERB_CHMOD, [REPLAY_MKDIR] = REPLAY_VERB_MKDIR,
		[REPLAY_RMDIR] = REPLAY_VERB_RMDIR,
	};

	return verbs[kind];
}

/* Tells the process, and waits for it or the end. False: it is gone, or we are to go. */
static bool command(struct replay *replay, enum replay_verb verb, const char *dir, const char *name,
		    int *ret_result)
{
	struct replay_command command = {.verb = verb, .device = replay->device};
	struct pollfd fds[] = {{.fd = replay->answer_fd, .events = POLLIN},
			       {.fd = replay->stop_fd, .events = POLLIN}};
	int len = g_snprintf(command.dir, sizeof(command.dir), "%s%s%s", replay->mountpoint,
			     *dir ? "/" : "", dir);

	memcpy(command.proof, replay->proof, sizeof(command.proof));
	*ret_result = ENAMETOOLONG;
	if (len >= (int)sizeof(command.dir) ||
	    g_strlcpy(command.name, name, sizeof(command.name)) >= sizeof(command.name))
		return true;
	/* There is room for it: it waits for nothing but the last answer, which came. */
	if (write(replay->command_fd, &command, sizeof(command)) != (ssize_t)sizeof(command))
		return false;
	while (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
		if (errno != EINTR)
			return false;
	return !fds[1].revents && read(replay->answer_fd, ret_result, sizeof(*ret_result)) ==
					  (ssize_t)sizeof(*ret_result);
}

/* --- the thread --- */

static void set_state(struct replay *replay, enum replay_state state)
{
	pthread_mutex_lock(&replay->mutex);
	replay->state = state;
	pthread_mutex_unlock(&replay->mutex);
}

/* The first request that the mount serves may take its time. */
static bool greet(struct replay *replay)
{
	int result;

	if (!command(replay, REPLAY_VERB_GREET, "", "", &result))
		return false;
	if (result == 0)
		return true;
	log_warning("%s: no events for watchers (inotify): %s", replay->mountpoint,
		    result == ESTALE ? "the kernel does not tell whose requests are whose"
				     : g_strerror(result));
	return false;
}

/* One after the other, and the folders that had too many last. */
static struct act *next_locked(struct replay *replay)
{
	struct act *act = g_queue_pop_head(&replay->acts);
	GHashTableIter iter;
	gpointer path;

	if (act)
		return act;
	g_hash_table_iter_init(&iter, replay->folders);
	if (!g_hash_table_iter_next(&iter, &path, NULL))
		return NULL;
	act = g_new0(struct act, 1);
	act->kind = REPLAY_ATTRIB;
	act->dir = g_strdup(path);
	act->name = g_strdup(".");
	g_hash_table_iter_remove(&iter);
	return act;
}

/* NULL: the end. */
static struct act *take(struct replay *replay)
{
	struct act *act = NULL;

	pthread_mutex_lock(&replay->mutex);
	while (!replay->stopping && !(act = next_locked(replay)))
		pthread_cond_wait(&replay->wake, &replay->mutex);
	replay->current = act;
	pthread_mutex_unlock(&replay->mutex);
	return act;
}

static void drop(struct replay *replay)
{
	struct act *act;

	pthread_mutex_lock(&replay->mutex);
	act = g_steal_pointer(&replay->current);
	pthread_mutex_unlock(&replay->mutex);
	act_free(act);
}

int64_t replay_rest_ms(int64_t took_ms)
{
	return CLAMP(REST_TIMES * MIN(took_ms, REST_MAX_MS), REST_MS, REST_MAX_MS);
}

/* False: the end came. */
static bool rest(const struct replay *replay)
{
	struct pollfd stop = {.fd = replay->stop_fd, .events = POLLIN};
	int64_t left_ms;

	while ((left_ms = replay->next_ms - clock_mono_ms()) > 0)
		if (poll(&stop, 1, (int)left_ms) > 0)
			return false;
	return true;
}

static bool carry_out(struct replay *replay, const struct act *act)
{
	int64_t began_ms;
	bool done;
	int result;

	if (!rest(replay))
		return false;
	began_ms = clock_mono_ms();
	done = command(replay, verb_of(act->kind), act->dir, act->name, &result);
	replay->next_ms = clock_mono_ms() + replay_rest_ms(clock_mono_ms() - began_ms);
	if (done)
		log_debug("inotify %d %s/%s: %s", act->kind, act->dir, act->name,
			  g_strerror(result));
	return done;
}

static void serve(struct replay *replay)
{
	const struct act *act;

	if (!greet(replay))
		return;
	set_state(replay, REPLAY_ON);
	while ((act = take(replay))) {
		bool done = carry_out(replay, act);

		drop(replay);
		if (!done)
			return;
	}
}

static void *replay_main(void *data)
{
	struct replay *replay = data;
	bool was_on, stopping;

	serve(replay);
	pthread_mutex_lock(&replay->mutex);
	was_on = replay->state == REPLAY_ON;
	stopping = replay->stopping;
	replay->state = REPLAY_OFF;
	pthread_mutex_unlock(&replay->mutex);
	if (was_on && !stopping)
		log_warning("%s: no more events for watchers (inotify): the process is gone",
			    replay->mountpoint);
	return NULL;
}

void replay_start(struct replay *replay, const char *mountpoint, uint64_t device)
{
	if (!replay)
		return;
	replay->mountpoint = g_strdup(mountpoint);
	replay->device = device;
	g_snprintf(replay->proof, sizeof(replay->proof), ".mailfs-%08x%08x%08x%08x", g_random_int(),
		   g_random_int(), g_random_int(), g_random_int());
	if (pthread_create(&replay->thread, NULL, replay_main, replay))
		g_error("cannot start a thread");
	replay->threaded = true;
}

pid_t replay_process(const struct replay *replay)
{
	return replay ? replay->pid : 0;
}

void replay_stop(struct replay *replay)
{
	const uint64_t one = 1;

	if (!replay || !replay->threaded)
		return;
	pthread_mutex_lock(&replay->mutex);
	replay->stopping = true;
	pthread_cond_signal(&replay->wake);
	pthread_mutex_unlock(&replay->mutex);
	if (write(replay->stop_fd, &one, sizeof(one)) < 0)
		log_error("eventfd: %s", g_strerror(errno));
	pthread_join(replay->thread, NULL);
	replay->threaded = false;
	kill(replay->pid, SIGKILL);
}

void replay_free(struct replay **replay)
{
	struct replay *old = *replay;
	int fds[3];

	if (!old)
		return;
	replay_stop(old);
	if (old->pid > 0) {
		kill(old->pid, SIGKILL);
		while (waitpid(old->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	memcpy(fds, (const int[]){old->command_fd, old->answer_fd, old->stop_fd}, sizeof(fds));
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	g_queue_clear_full(&old->acts, act_free);
	g_hash_table_unref(old->folders);
	pthread_cond_destroy(&old->wake);
	pthread_mutex_destroy(&old->mutex);
	g_free(old->mountpoint);
	g_clear_pointer(replay, g_free);
}

/* --- any thread --- */

bool replay_is_on(struct replay *replay)
{
	bool on;

	if (!replay)
		return false;
	pthread_mutex_lock(&replay->mutex);
	on = replay->state == REPLAY_ON && !replay->stopping;
	pthread_mutex_unlock(&replay->mutex);
	return on;
}

static void push_folder_locked(struct replay *replay, const char *dir)
{
	if (g_hash_table_size(replay->folders) < FOLDERS_MAX)
		g_hash_table_add(replay->folders, g_strdup(dir));
	pthread_cond_signal(&replay->wake);
}

static void push_locked(struct replay *replay, enum replay_kind kind, uint64_t parent,
			const char *dir, const char *name)
{
	struct act *act;

	if (replay->acts.length >= ACTS_MAX) {
		push_folder_locked(replay, dir);
		return;
	}
	act = g_new0(struct act, 1);
	*act = (struct act){
		.kind = kind, .parent = parent, .dir = g_strdup(dir), .name = g_strdup(name)};
	g_queue_push_tail(&replay->acts, act);
	pthread_cond_signal(&replay->wake);
}

void replay_push(struct replay *replay, enum replay_kind kind, uint64_t parent, const char *dir,
		 const char *name)
{
	pthread_mutex_lock(&replay->mutex);
	if (replay->state == REPLAY_ON)
		push_locked(replay, kind, parent, dir, name);
	pthread_mutex_unlock(&replay->mutex);
}

void replay_push_folder(struct replay *replay, const char *dir)
{
	pthread_mutex_lock(&replay->mutex);
	if (replay->state == REPLAY_ON)
		push_folder_locked(replay, dir);
	pthread_mutex_unlock(&replay->mutex);
}

bool replay_is_helper(const struct replay *replay, fuse_req_t req)
{
	return replay && replay->pid > 0 && fuse_req_ctx(req)->pid == replay->pid;
}

bool replay_expects(struct replay *replay, uint64_t parent, const char *name, enum replay_kind *ret)
{
	const struct act *act;
	bool expects;

	pthread_mutex_lock(&replay->mutex);
	act = replay->current;
	expects = act && act->parent == parent && strcmp(act->name, name) == 0;
	if (expects)
		*ret = act->kind;
	pthread_mutex_unlock(&replay->mutex);
	return expects;
}

bool replay_is_proof(const struct replay *replay, const char *name)
{
	return strcmp(replay->proof, name) == 0;
}
