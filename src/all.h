/* --all: a process for each account of the configuration file, and one that looks after them. */
#pragma once

#include "base/supervisor.h"
#include "config/options.h"

/* What a process does that was given one account; takes over the options, and who is told of it
 * (NULL: the service manager, if there is one). Its exit code. */
typedef int (*all_serve_fn)(struct options *options, struct supervisor *supervisor);

/* Mounts options->accounts, all at once, each as its own command line would; `argc` and `argv` are
 * ours. In the foreground: until all have ended, and they are told the signals that end or reload
 * us. Else until each is mounted or has failed. A service manager is told when each is mounted or
 * has failed, if any is. The exit code: that of the first account that
 * failed, in the order of the file. Before any thread is started. */
int all_run(const struct options *options, int argc, char **argv, all_serve_fn serve);
