#include "sendmail/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What is ignored (nohup(1), jobs in the background) stays so; held back it would be seen. */
static void add_unless_ignored(sigset_t *set, int number)
{
	struct sigaction action;

	if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
		sigaddset(set, number);
}

bool interrupt_hold(struct interrupt *ret)
{
	sigset_t held;

	sigemptyset(&held);
	add_unless_ignored(&held, SIGINT);
	add_unless_ignored(&held, SIGTERM);
	add_unless_ignored(&held, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &held, &ret->before) < 0)
		return false;
	ret->fd = signalfd(-1, &held, SFD_CLOEXEC);
	return ret->fd >= 0;
}

bool interrupt_came(const struct interrupt *interrupt)
{
	struct pollfd poller = {interrupt->fd, POLLIN, 0};

	return poll(&poller, 1, 0) > 0;
}

bool interrupt_wait(const struct interrupt *interrupt, int fd)
{
	struct pollfd pollers[] = {{interrupt->fd, POLLIN, 0}, {fd, POLLIN, 0}};

	while (poll(pollers, 2, -1) < 0 && errno == EINTR)
		;
	return pollers[0].revents == 0;
}

void interrupt_release(struct interrupt *interrupt)
{
	close(interrupt->fd);
	interrupt->fd = -1;
	sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
}
