#include "fuse/private.h"

#include "base/log.h"

#include <signal.h>
#include <string.h>

#define KICK SIGUSR1 /* ends the thread */

static void do_nothing(int signal)
{
}

static void waited_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, KICK);
}

/* As if we had never looked: nothing is mounted, and the cache bears it. */
static void die_of(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}

static void handle_end(struct mount *mount, int number)
{
	enum mount_state state;

	/* It gets no further meanwhile. */
	pthread_mutex_lock(&mount->mutex);
	state = mount->state;
	if (state == MOUNT_NEW)
		die_of(number);
	/* The helpers, which are just being started, have nothing to hang on yet. */
	if (state == MOUNT_ATTACHING)
		loop_end(mount->loop);
	pthread_mutex_unlock(&mount->mutex);
	if (state != MOUNT_ENDED)
		log_info("signal %d: unmounting", number);
	if (state == MOUNT_ATTACHED) {
		mount_stop_helpers(mount);
		loop_end(mount->loop);
	}
}

static void handle_hangup(struct mount *mount)
{
	enum mount_state state;

	pthread_mutex_lock(&mount->mutex);
	state = mount->state;
	pthread_mutex_unlock(&mount->mutex);
	if (state == MOUNT_NEW || state == MOUNT_ENDED)
		return;
	engine_reconnect(mount->engine);
	if (mount->outbox)
		outbox_retry(mount->outbox);
}

static void *signals_main(void *data)
{
	struct mount *mount = data;
	sigset_t set;
	int number;

	waited_set(&set);
	for (;;) {
		if (sigwait(&set, &number))
			continue;
		if (number == KICK)
			return NULL;
		if (number == SIGHUP)
			handle_hangup(mount);
		else
			handle_end(mount, number);
	}
}

void signals_start(struct mount *mount)
{
	struct sigaction action = {.sa_handler = do_nothing};
	sigset_t set;

	/* One from outside must end neither the process nor the thread. */
	sigaction(KICK, &action, NULL);
	/* The thread is born with all of them blocked: a kick that comes before it waits must not
	 * be lost on the handler. */
	waited_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (pthread_create(&mount->signal_thread, NULL, signals_main, mount))
		g_error("cannot start a thread");
	sigemptyset(&set);
	sigaddset(&set, KICK);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	mount->signals_on = true;
}

void signals_stop(struct mount *mount)
{
	if (!mount->signals_on)
		return;
	pthread_kill(mount->signal_thread, KICK);
	pthread_join(mount->signal_thread, NULL);
	mount->signals_on = false;
}
